"""What is stored of a refreshed table: nothing, one part or both, and what its event says."""

import threading
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import dagster as dg
import pyarrow as pa
import pytest

from orch_assets import SplitTable
from orch_assets.defs.io import output_writer
from orch_assets.defs.io.io_manager import StudyIOManager
from orch_assets.defs.io.output_writer import IN_THE_STORE, OutputWriter
from orch_assets.defs.io.refresh_metadata import refresh_line
from orch_assets.defs.resources import StoreResource
from orch_assets.errors import ArtifactReplacedError, UnstorableTableError
from orch_assets.imednet.blinding.split_stream import SplitStream
from orch_assets.imednet.progress import ReadingCounts
from orch_assets.imednet.refresh.refresh_plan import PlannedPart
from orch_assets.imednet.streams import BatchStream, RefreshStream
from orch_assets.orchestration.steps import LaneStep, StepCall
from orch_assets.refreshing import PartRefresh, RowChanges

NAME = "records/ONC-301"
CALL = StepCall("ONC-301", LaneStep("records"), {})
SCHEMA = pa.schema([("id", pa.int64())])
CHANGES = RowChanges(
    "counted", None, new=2, changed=3, deleted=1, unchanged=19_985, requests=4, requests_saved=39
)


class Stores:
    """The open store and the restricted one, and a writer of results."""

    def __init__(self, folder):
        self.folder = folder
        self.io_managers = {
            f"{name}io_manager": StudyIOManager(store=StoreResource(uri=str(folder / f"{name}x")))
            for name in ("", "restricted_")
        }
        self.open, self.restricted = (each.store.store for each in self.io_managers.values())

    def write(self, value, **io_managers):
        with dg.build_resources(self.io_managers | io_managers) as resources:
            keys = {"records": dg.AssetKey("records")}
            return OutputWriter(resources, "run", keys, {"records": "io_manager"}).write(
                CALL, value
            )

    def files(self):
        return {path: path.stat().st_mtime_ns for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def stores(tmp_path):
    return Stores(tmp_path)


def stream(rows, refresh=None):
    batches = (pa.record_batch([pa.array(part, pa.int64())], SCHEMA) for part in rows)
    return BatchStream(batches, ReadingCounts(len(rows), 1), SCHEMA, refresh=refresh)


def part(earlier, rows=None):
    """Return the stream of a part: unchanged, or with these rows."""
    unchanged = rows is None
    state = {"watermark": "2026-11-01T00:00:00"}
    refresh = PartRefresh(earlier, unchanged, lambda: state, CHANGES)
    return stream([] if unchanged else [rows], refresh)


def told(output):
    return {name: entry.value for name, entry in output.result.metadata.items()}


def ids(store, version=None):
    return store.download_table(NAME, version)["id"].to_pylist()


@contextmanager
def unwritten(stores):
    before = stores.files()
    yield
    assert stores.files() == before


def test_of_an_unchanged_table_nothing_is_written_and_its_event_is_that_of_its_version(stores):
    first = stores.write(SplitTable(stream([[1, 2]]), stream([[3]])))
    parts = (part(store.previous(NAME)) for store in (stores.open, stores.restricted))
    with unwritten(stores):
        second = stores.write(SplitTable(*parts))
    same = ["dagster/uri", "dagster/row_count", "bytes", "sha256", "dagster/column_schema"]
    same += ["withheld_uri", "withheld_rows", "withheld_sha256"]
    assert {name: told(second)[name] for name in same} == {name: told(first)[name] for name in same}
    handed = second.handover
    assert handed.table.table["id"].to_pylist() == [1, 2]
    assert handed.withheld.table["id"].to_pylist() == [3]


def test_both_parts_of_an_unchanged_refresh_are_seen_to_on_the_thread_of_the_study(stores):
    """A thread takes longer than there is to do."""
    stores.write(SplitTable(stream([[1, 2]]), stream([[3]])))
    threads = []

    def planned(number):
        threads.append(threading.current_thread())
        earlier = (stores.open, stores.restricted)[number].previous(NAME)
        rows = (batch for batch in ())
        return PlannedPart(PartRefresh(earlier, unchanged=True, changes=CHANGES), rows)

    plan = SimpleNamespace(
        part=planned, schemas=[SCHEMA] * 2, counts=ReadingCounts(0, 1), close=lambda _number: None
    )
    with unwritten(stores):
        stores.write(SplitTable(RefreshStream(plan, 0), RefreshStream(plan, 1)))
    assert {*threads} == {threading.current_thread()}


def test_an_unchanged_table_is_loaded_once_for_all_that_take_it_and_only_if_it_is_small(
    stores, monkeypatch
):
    stores.write(stream([[1, 2]]))
    handed = stores.write(part(stores.open.previous(NAME))).handover
    assert handed.table is handed.table
    assert handed.table.equals(stores.open.download_table(NAME))
    for limit, least in (("_HELD_ROWS", 1), ("_HELD_BYTES", 8)):
        with monkeypatch.context() as patch:
            patch.setattr(output_writer, limit, least)
            handed = stores.write(part(stores.open.previous(NAME))).handover
            assert handed.table is IN_THE_STORE


@pytest.mark.parametrize(
    ("open_rows", "withheld_rows"), [(None, [3, 4]), ([1, 2, 5], None), ([1, 2, 5], [3, 4])]
)
def test_a_part_is_stored_only_if_it_changed(stores, open_rows, withheld_rows):
    stores.write(SplitTable(stream([[1, 2]]), stream([[3]])))
    second = stores.write(
        SplitTable(
            part(stores.open.previous(NAME), open_rows),
            part(stores.restricted.previous(NAME), withheld_rows),
        )
    )
    assert ids(stores.open) == (open_rows or [1, 2])
    assert ids(stores.restricted) == (withheld_rows or [3])
    assert [len(store.versions(NAME)) for store in (stores.open, stores.restricted)] == [
        2 if rows else 1 for rows in (open_rows, withheld_rows)
    ]
    values = told(second)
    assert (values["dagster/row_count"], values["withheld_rows"]) == (
        len(open_rows or [1, 2]),
        len(withheld_rows or [3]),
    )
    assert values["sha256"] == stores.open.previous(NAME).version
    assert values["withheld_sha256"] == stores.restricted.previous(NAME).version


def test_the_parts_of_one_reading_may_be_unchanged_each_for_itself(stores):
    """The parts of a ``SplitStream`` must be read at once, also if one of them has no rows."""
    stores.write(SplitTable(stream([[1, 2]]), stream([[3]])))

    def odd_ones(table):
        is_odd = pa.array([number % 2 == 1 for number in table["id"].to_pylist()], pa.bool_())
        return table.filter(is_odd), table.filter(pa.compute.invert(is_odd))

    for rows, unchanged in (([[3, 5]], "withheld"), ([[4, 6]], "table")):
        parts = SplitStream(stream(rows), odd_ones)
        streams = {}
        for name, store in (("table", stores.open), ("withheld", stores.restricted)):
            each, same = getattr(parts, name), name == unchanged
            refresh = PartRefresh(store.previous(NAME), same, changes=CHANGES)
            streams[name] = BatchStream(each, each.counts, each.schema, refresh=refresh)
        stores.write(SplitTable(**streams))
    assert (ids(stores.open), ids(stores.restricted)) == ([3, 5], [4, 6])


@pytest.mark.parametrize("had_rows", [False, True])
@pytest.mark.parametrize("has_rows", [False, True, None])
def test_an_optional_withheld_part_is_stored_once_it_has_rows(stores, had_rows, has_rows):
    withheld = stream([[3]] if had_rows else [])
    stores.write(SplitTable(stream([[1, 2]]), withheld, withheld_if_any=True))
    before = stores.restricted.previous(NAME)
    assert (before is not None) == had_rows
    rows = None if has_rows is None else [3, 4] if has_rows else []
    value = part(before, rows)
    opened = part(stores.open.previous(NAME), [1, 2, 5])
    output = stores.write(SplitTable(opened, value, withheld_if_any=True))
    expected = ([3] if had_rows else []) if rows is None else rows
    assert told(output)["withheld_rows"] == len(expected)
    assert ("withheld_uri" in told(output)) == (had_rows or bool(has_rows))
    if had_rows or has_rows:
        assert ids(stores.restricted) == expected
    else:
        assert output.handover.withheld.num_rows == 0


def test_a_refreshed_table_does_not_replace_a_version_that_it_was_not_compared_with(stores):
    stores.write(stream([[1, 2]]))
    compared_with = stores.open.previous(NAME)
    stores.write(stream([[1, 2, 3]]))
    with pytest.raises(ArtifactReplacedError, match="Nothing was published"):
        stores.write(part(compared_with, [1, 2, 4]))
    assert ids(stores.open) == [1, 2, 3]


@pytest.mark.parametrize("first", [[], [3]])
def test_if_an_open_part_is_refused_its_withheld_part_is_not_stored_either(stores, first):
    """Not even if the withheld part was not stored before, or is still the same version."""
    stores.write(SplitTable(stream([[1, 2]]), stream([first]), withheld_if_any=True))
    compared_with = stores.open.previous(NAME), stores.restricted.previous(NAME)
    other = first or [2]  # 2 is withheld since
    stores.write(SplitTable(stream([[1]]), stream([other]), withheld_if_any=True))
    late = SplitTable(
        part(compared_with[0], [1, 2, 4]), part(compared_with[1], [5]), withheld_if_any=True
    )
    with pytest.raises(ArtifactReplacedError, match=r"'records/ONC-301'.*Run the pipeline again"):
        stores.write(late)
    assert (ids(stores.open), ids(stores.restricted)) == ([1], other)


def test_an_unchanged_table_that_was_replaced_meanwhile_is_not_reported(stores):
    stores.write(stream([[1, 2]]))
    compared_with = stores.open.previous(NAME)
    stores.write(stream([[1, 2, 3]]))
    with unwritten(stores), pytest.raises(ArtifactReplacedError):
        stores.write(part(compared_with))
    stores.open.delete(NAME)
    with unwritten(stores), pytest.raises(ArtifactReplacedError):
        stores.write(part(compared_with))


def test_an_io_manager_of_a_user_gets_no_stream_without_rows_for_an_unchanged_table(stores):
    class Own(dg.IOManager):
        def handle_output(self, context, obj):
            raise AssertionError("stored")

        def load_input(self, context):
            raise NotImplementedError

    stores.write(stream([[1, 2]]))
    with pytest.raises(UnstorableTableError, match="another version"):
        stores.write(part(stores.open.previous(NAME)), io_manager=Own())


def test_the_event_says_what_the_refresh_found(stores):
    stores.write(stream([[1, 2]]))
    values = told(stores.write(part(stores.open.previous(NAME))))
    assert {name: values[name] for name in values if name.startswith(("re", "rows"))} == {
        "refresh": "counted",
        "rows_new": 2,
        "rows_changed": 3,
        "rows_deleted": 1,
        "rows_vanished": 0,
        "rows_unchanged": 19_985,
        "requests": 4,
        "requests_saved": 39,
        "retries": 0,
        "replaced_surrogates": 0,
    }


def test_a_reason_for_reading_all_rows_is_told(stores):
    refresh = PartRefresh(changes=RowChanges("read whole", "nothing was stored", new=2))
    values = told(stores.write(stream([[1, 2]], refresh)))
    assert (values["refresh"], values["refresh_reason"]) == ("read whole", "nothing was stored")
    minus = "\N{MINUS SIGN}"
    assert refresh_line("sites", refresh, "new") == (
        f"sites: +2 ~0 {minus}0, 0 unchanged; read whole: nothing was stored"
    )


def test_the_log_says_what_the_refresh_found(stores):
    stores.write(stream([[1, 2]]))
    earlier = stores.open.previous(NAME)
    refresh = PartRefresh(earlier, changes=CHANGES)
    minus = "\N{MINUS SIGN}"
    assert refresh_line("records", refresh, "new") == (
        f"records: +2 ~2 {minus}1, 19,985 unchanged; 39 requests saved"
    )
    unchanged = replace(refresh, unchanged=True)
    assert refresh_line("records", unchanged, earlier.version) == (
        "records: 19,985 unchanged; 39 requests saved"
    )


def test_the_log_calls_no_row_unchanged_if_only_other_things_than_dates_changed(stores):
    stores.write(stream([[1, 2]]))
    changes = RowChanges("read whole", "this table is always read whole", unchanged=2)
    refresh = PartRefresh(stores.open.previous(NAME), changes=changes)
    assert refresh_line("codings", refresh, "new") == (
        "codings: changed without new dates; read whole: this table is always read whole"
    )
