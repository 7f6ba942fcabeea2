"""What is kept of a result, in which order, what is handed on, what is left when it fails."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import dagster as dg
import pyarrow as pa
import pytest

from orch_assets import SplitTable
from orch_assets.defs.io import output_writer as keeping
from orch_assets.defs.io.io_manager import StudyIOManager
from orch_assets.defs.io.output_writer import IN_THE_STORE, OutputWriter
from orch_assets.defs.resources import StoreResource
from orch_assets.errors import StoreError, TableChangedError
from orch_assets.imednet.blinding.split_stream import SplitStream
from orch_assets.imednet.progress import ReadingCounts
from orch_assets.imednet.streams import BatchStream
from orch_assets.orchestration.steps import LaneStep, StepCall

SCHEMA = pa.schema([("id", pa.int64())])
ROWS = list(range(12))
TURN = StepCall("ONC-301", LaneStep("records"), {})
MOVED = TableChangedError("rows moved", expected=9, arrived=3, endpoint="/rows", page=1)


class Recording(dg.IOManager):
    """Keeps in memory what a stream gave, once it is whole; writes down when it did.

    Args:
        name: in the record.
        record: of all of them.
        fails: the error, and after how many batches.
    """

    def __init__(self, name, record, fails=None, after=0):
        self.name, self.record, self.fails, self.after = name, record, fails, after
        self.kept = None

    def handle_output(self, context, obj):
        if self.fails and not self.after:
            raise self.fails
        ids = []
        for number, batch in enumerate(obj if isinstance(obj, BatchStream) else obj.to_batches()):
            ids += batch["id"].to_pylist()
            if self.fails and number + 1 >= self.after:
                raise self.fails
        self.kept = ids
        self.record.append(self.name)
        context.add_output_metadata({"rows": len(ids), "uri": f"memory:{self.name}"})

    def load_input(self, context):
        raise NotImplementedError


@contextmanager
def kept_by(io_manager, restricted):
    resources = {"io_manager": io_manager, "restricted_io_manager": restricted}
    with dg.build_resources(resources) as opened:
        keys = {"records": dg.AssetKey("records")}
        yield OutputWriter(opened, "a-run", keys, {"records": "io_manager"})


def stream(rows=ROWS, batch=3, error=None):
    counts = ReadingCounts(len(rows), len(rows), 4, 1)

    def items():
        for start in range(0, len(rows), batch):
            yield pa.record_batch([pa.array(rows[start : start + batch], pa.int64())], SCHEMA)
        if error:
            raise error

    return BatchStream(items(), counts, SCHEMA)


def by_parity(table):
    odd = pa.array([one % 2 == 1 for one in table["id"].to_pylist()], pa.bool_())
    return table.filter(pa.compute.invert(odd)), table.filter(odd)


def split(source):
    parts = SplitStream(source, by_parity)
    return SplitTable(parts.table, parts.withheld)


@pytest.fixture
def record():
    return []


def test_a_stream_is_kept_and_handed_on_as_the_table_that_it_was(tmp_path):
    manager = StudyIOManager(store=StoreResource(uri=str(tmp_path)))
    with kept_by(manager, manager) as writer:
        output = writer.write(TURN, stream())
    told = {name: output.result.metadata[name].value for name in ("expected", "arrived", "pages")}
    assert told == {"expected": 12, "arrived": 12, "pages": 4}
    assert (output.result.data, output.result.stored) == (None, True)
    assert output.result.metadata["dagster/row_count"].value == 12
    assert output.result.metadata["retries"].value == 1
    assert output.handover.schema == SCHEMA
    assert output.handover["id"].to_pylist() == ROWS
    assert manager.store.store.download_table("records/ONC-301").equals(output.handover)


def test_a_long_stream_is_in_the_store_alone(record, monkeypatch):
    monkeypatch.setattr(keeping, "_HELD_BYTES", 3 * 8 * 3)  # three batches
    io_manager = Recording("open", record)
    with kept_by(io_manager, Recording("withheld", record)) as writer:
        assert writer.write(TURN, stream(ROWS[:9])).handover["id"].to_pylist() == ROWS[:9]
        assert writer.write(TURN, stream()).handover is IN_THE_STORE
    assert io_manager.kept == ROWS


def test_each_part_of_a_split_is_held_by_its_own_size(record, monkeypatch):
    monkeypatch.setattr(keeping, "_HELD_BYTES", 8 * 8)
    source = stream([0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 1, 3])
    with kept_by(Recording("open", record), Recording("withheld", record)) as writer:
        handed = writer.write(TURN, split(source)).handover
    assert handed.table is IN_THE_STORE
    assert handed.withheld["id"].to_pylist() == [1, 3]


def test_any_other_stream_is_in_the_store_alone(record):
    reader = pa.Table.from_batches(list(stream()), SCHEMA).to_reader()

    class Whole(Recording):
        def handle_output(self, context, obj):
            super().handle_output(context, obj.read_all())

    with kept_by(Whole("open", record), Recording("withheld", record)) as writer:
        output = writer.write(TURN, reader)
    assert output.handover is IN_THE_STORE
    assert "expected" not in output.result.metadata


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("rows", [ROWS, [], [1, 3], [0, 2]])
def test_the_withheld_part_is_there_before_the_open_one(rows, streamed, record):
    whole = pa.Table.from_batches(list(stream(rows)), SCHEMA)
    value = split(stream(rows)) if streamed else SplitTable(*by_parity(whole))
    io_manager, restricted = Recording("open", record), Recording("withheld", record)
    with kept_by(io_manager, restricted) as writer:
        output = writer.write(TURN, value)
    assert record == ["withheld", "open"]
    assert io_manager.kept == [one for one in rows if one % 2 == 0]
    assert restricted.kept == [one for one in rows if one % 2 == 1]
    assert output.handover.table["id"].to_pylist() == io_manager.kept
    assert output.handover.withheld["id"].to_pylist() == restricted.kept
    told = {name: value.value for name, value in output.result.metadata.items()}
    assert (told["rows"], told["withheld_rows"]) == (len(io_manager.kept), len(restricted.kept))
    assert (told["uri"], told["withheld_uri"]) == ("memory:open", "memory:withheld")
    assert list(told)[-2:] == ["withheld_rows", "withheld_uri"]  # in every run the same


@pytest.mark.parametrize("rows", [[], ROWS, ROWS * 20])
def test_a_reading_that_fails_keeps_neither_part_and_is_the_error(rows, record):
    for source in (split(stream(rows, error=MOVED)), stream(rows, error=MOVED)):
        with (
            kept_by(Recording("open", record), Recording("withheld", record)) as writer,
            pytest.raises(TableChangedError) as caught,
        ):
            writer.write(TURN, source)
        assert caught.value is MOVED
    assert record == []


FULL = StoreError("The disk is full.", artifact="records")


@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("error", [FULL, OSError("no space")])
@pytest.mark.parametrize("rows", [ROWS, ROWS * 40])
def test_a_withheld_store_that_fails_is_the_error_and_no_open_table_is_kept(
    rows, error, after, record
):
    restricted = Recording("withheld", record, error, after)
    for _ in range(3):  # the two threads meet in another order each time
        with (
            kept_by(Recording("open", record), restricted) as writer,
            pytest.raises(type(error)) as caught,
        ):
            writer.write(TURN, split(stream(rows)))
        assert caught.value is error
    assert record == []


def test_an_open_table_is_written_while_the_withheld_one_is_committed(record, tmp_path):
    versions = "records/.orch/ONC-301/parquet/versions/*"

    class Late(Recording):
        def handle_output(self, context, obj):
            super().handle_output(context, obj)
            deadline = time.monotonic() + 10
            while not list(tmp_path.glob(versions)) and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.2)  # for an open table that doesn't wait
            self.seen = (len(list(tmp_path.glob(versions))), store.exists("records/ONC-301"))
            self.ended = datetime.now(UTC)

    manager = StudyIOManager(store=StoreResource(uri=str(tmp_path)))
    store = manager.store.store
    restricted = Late("withheld", record)
    with kept_by(manager, restricted) as writer:
        writer.write(TURN, split(stream()))
    assert restricted.seen == (1, False)
    assert store.download_table("records/ONC-301")["id"].to_pylist() == ROWS[::2]
    published_at = store.manifest("records/ONC-301").publications[-1].published_at
    assert datetime.fromisoformat(published_at) > restricted.ended


class OnAThread(StudyIOManager):
    """Publishes on a thread without the caller's context."""

    def handle_output(self, context, obj):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(super().handle_output, context, obj).result()


class Notes(StudyIOManager):
    """Publishes a note, of what it has read already, before the table."""

    def handle_output(self, context, obj):
        columns = next(obj).schema.names
        self.pipeline_store().publish_json(columns, "notes")
        super().handle_output(context, BatchStream(obj, obj.counts, obj.schema))


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", [StudyIOManager, OnAThread, Notes])
def test_only_the_table_itself_waits_however_it_is_published(kind, record, tmp_path):
    manager = kind(store=StoreResource(uri=str(tmp_path)))
    store = manager.store.store
    restricted = Recording("withheld", record, FULL, after=2)
    with kept_by(manager, restricted) as writer, pytest.raises(StoreError):
        writer.write(TURN, split(stream()))
    assert not store.exists("records/ONC-301")

    def noting(rows):
        for batch in rows:
            store.publish_json(["while", "it", "reads"], "progress")
            yield batch

    source = stream()
    noted = BatchStream(noting(source), source.counts, SCHEMA)
    with kept_by(manager, Recording("withheld", record)) as writer:
        writer.write(TURN, split(noted))
    assert store.exists("records/ONC-301")


def test_no_try_ends_before_its_withheld_part_does(record, tmp_path):
    class Late(Recording):
        def handle_output(self, context, obj):
            ids = []
            try:
                for batch in obj:
                    ids += batch["id"].to_pylist()
            finally:
                time.sleep(0.3)
                record.append(ids)

    class FailsAtItsEnd(StudyIOManager):
        def handle_output(self, context, obj):
            super().handle_output(context, pa.RecordBatchReader.from_batches(SCHEMA, fed(obj)))

    def fed(batches):
        yield from batches
        raise FULL

    class FailsToPut(StudyIOManager):
        def handle_output(self, context, obj):
            obj.take_wait()
            for _ in obj:
                pass
            raise FULL

    class FailsAfterOneBatch(StudyIOManager):
        def handle_output(self, context, obj):
            next(obj)
            raise FULL

    class FailsAtOnce(StudyIOManager):
        def handle_output(self, context, obj):
            raise FULL

    for failing, arrived in (
        (FailsAtItsEnd, ROWS[1::2]),
        (FailsToPut, ROWS[1::2]),
        (FailsAfterOneBatch, ROWS[1:3:2]),
        (FailsAtOnce, []),
    ):
        manager = failing(store=StoreResource(uri=str(tmp_path)))
        with kept_by(manager, Late("withheld", record)) as writer, pytest.raises(StoreError):
            writer.write(TURN, split(stream()))
        assert record.pop() == arrived


@pytest.mark.parametrize("error", [FULL, OSError("no space")])
def test_a_withheld_store_that_fails_at_its_end_keeps_the_open_table_from_its_commit(
    error, record, tmp_path
):
    class FailsLast(Recording):
        def handle_output(self, context, obj):
            super().handle_output(context, obj)
            raise error

    manager = StudyIOManager(store=StoreResource(uri=str(tmp_path)))
    with (
        kept_by(manager, FailsLast("withheld", record)) as writer,
        pytest.raises(type(error)) as caught,
    ):
        writer.write(TURN, split(stream()))
    assert caught.value is error
    assert not manager.store.store.exists("records/ONC-301")
    assert manager.store.store.versions("records/ONC-301") == []


@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("error", [FULL, OSError("no space")])
def test_an_open_store_that_fails_while_it_is_fed_keeps_no_withheld_part(error, after, record):
    broken = Recording("open", record, error, after)
    parts = split(stream(ROWS * 40))
    with (
        kept_by(broken, Recording("withheld", record)) as writer,
        pytest.raises(type(error)) as caught,
    ):
        writer.write(TURN, parts)
    assert caught.value is error
    assert list(parts.withheld) == []
    assert record == []


def test_a_result_without_a_table_has_no_artifact(record):
    with kept_by(Recording("open", record), Recording("withheld", record)) as writer:
        output = writer.write(TURN, {"sites": 3})
    assert (output.result.data, output.result.stored, output.handover) == (
        {"sites": 3},
        False,
        {"sites": 3},
    )
    assert record == []
