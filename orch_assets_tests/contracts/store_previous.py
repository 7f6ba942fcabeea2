"""What a next version is made from, and what is stored for it, on every backend."""

import contextlib
import gc
import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import pandas as pd
import pyarrow as pa
import pytest

from orch_assets.errors import (
    ArtifactCorruptError,
    ArtifactNotFoundError,
    ArtifactReplacedError,
    UnstorableTableError,
    UnstorableValueError,
)
from orch_assets.refreshing import PartRefresh, StoredTable
from orch_assets.stores import ArtifactKind, PipelineStore, StorageFormat, noting_inputs
from orch_assets_tests.contracts.store_fixtures import (
    FRAME,
    OTHER,
    Objects,
    OpenStore,
    Overwrite,
    Remove,
    StoreFixtures,
)

ROWS = pa.table({"record_id": [1, 2, 3], "a.b": ["x", None, ""], "a": [{"b": 1}, None, {"b": 2}]})
MORE = ROWS.slice(0, 2)
STATE = {"watermark": "2026-03-31T18:00:00", "rows": 3, "tail": None, "nested": {"of": [1, 2]}}


class Refreshed:
    """A stream that was made from an earlier version, or compared with it."""

    def __init__(self, table: pa.Table, **facts: Any) -> None:
        self.schema = table.schema
        self.refresh = PartRefresh(state=lambda: {"read": self.read}, **facts)
        self.read = 0
        self._batches = table.to_batches(max_chunksize=1)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            self.read += batch.num_rows
            yield batch


class Watched:
    """A backend that notes which objects are opened, and how many are open."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.opened: list[str] = []
        self.open_files = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    @contextlib.contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        self.opened.append(key)
        self.open_files += 1
        try:
            with self._backend.open(key) as file:
                yield file
        finally:
            self.open_files -= 1

    def data_opened(self) -> int:
        return sum("/manifests/" not in key for key in self.opened)


def watched(store: PipelineStore) -> tuple[PipelineStore, Watched]:
    backend = Watched(store._backend)
    return PipelineStore(backend, store._prefix, store._format), backend


def last_state(store: PipelineStore, name: str = "x", **kind: Any) -> Mapping[str, Any]:
    return store.manifest(name, **kind).publications[-1].state


class PreviousContract(StoreFixtures):
    # State

    def test_a_state_is_stored_with_each_kind_of_artifact(self, store: PipelineStore) -> None:
        store.publish(ROWS, "x", state=STATE)
        store.publish_stream(ROWS.to_batches(), ROWS.schema, "s", state=lambda: STATE)
        store.publish_set({"a": ROWS}, "x", state=STATE)
        store.publish_json([1], "x", state=STATE)
        assert last_state(store) == last_state(store, "s") == STATE
        for kind in (ArtifactKind.SET, ArtifactKind.JSON):
            assert last_state(store, kind=kind) == STATE

    def test_a_state_is_empty_by_default_and_in_manifests_that_have_none(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        store.publish(ROWS, "x")
        assert last_state(store) == {}
        for key, data in objects().items():
            if "/manifests/" in key:
                manifest = json.loads(data)
                del manifest["publications"][0]["state"], manifest["checksum"]
                overwrite(key, json.dumps(manifest).encode())
        assert last_state(store) == {}
        assert store.previous("x").state == {}

    def test_a_state_is_asked_for_when_all_rows_are_written(self, store: PipelineStore) -> None:
        seen = []

        def rows() -> Iterator[pa.RecordBatch]:
            for batch in ROWS.to_batches(max_chunksize=1):
                seen.append(batch)
                yield batch

        store.publish_stream(rows(), ROWS.schema, "x", state=lambda: {"seen": len(seen)})
        assert last_state(store) == {"seen": 3}

    def test_the_same_version_has_the_state_of_its_last_publication(
        self, store: PipelineStore
    ) -> None:
        for number in range(3):
            store.publish(ROWS, "x", state={"n": number})
        assert store.previous("x").state == {"n": 2}
        assert [each.state["n"] for each in store.versions("x")[0].publications] == [0, 1, 2]

    def test_compaction_keeps_states(self, store: PipelineStore, objects: Objects) -> None:
        for number in range(4):
            store.publish(ROWS, "x", state={"n": number})
        store.retain(keep_last=1)
        assert sum("/manifests/" in key for key in objects()) == 2
        assert [each.state["n"] for each in store.versions("x")[0].publications] == [0, 1, 2, 3]
        assert store.previous("x").state == {"n": 3}

    @pytest.mark.parametrize("state", [{"at": object()}, {1: "PLANTED"}, ["PLANTED"]])
    def test_a_state_that_is_not_json_is_refused_and_nothing_is_published(
        self, store: PipelineStore, state: Any
    ) -> None:
        with pytest.raises(UnstorableValueError, match="state of 'x'") as error:
            store.publish(ROWS, "x", state=state)
        assert "PLANTED" not in str(error.value)
        assert not store.exists("x")

    def test_a_restored_version_has_no_state(self, store: PipelineStore) -> None:
        """What was read since isn't in it, so the next reading must be whole."""
        first = store.publish(ROWS, "x", state=STATE).sha256
        store.publish(MORE, "x", state=STATE)
        store.restore("x", first)
        assert store.previous("x").state == {}

    # Refreshed streams

    def test_a_merged_stream_is_published_with_its_state_over_its_earlier_version(
        self, store: PipelineStore
    ) -> None:
        first = store.publish(MORE, "x").sha256
        earlier = store.previous("x")
        merged = store.publish(Refreshed(ROWS, earlier=earlier), "x")
        assert store.download_table("x").equals(ROWS)
        assert last_state(store) == {"read": 3}
        assert store.versions("x")[-1].publications[-1].replaces == first
        with pytest.raises(ArtifactReplacedError) as error:
            store.publish(Refreshed(MORE, earlier=earlier), "x")
        assert (error.value.replaces, error.value.current) == (first, merged.sha256)
        assert store.download_table("x").equals(ROWS)

    def test_a_stream_without_an_earlier_version_replaces_any_version(
        self, store: PipelineStore
    ) -> None:
        store.publish(OTHER, "x")
        stream = Refreshed(ROWS)
        store.publish_stream(stream, stream.schema, "x")
        assert store.download_table("x").equals(ROWS)
        assert last_state(store) == {"read": 3}
        assert store.versions("x")[-1].publications[-1].number == 2

    def test_the_earlier_version_takes_the_place_of_its_own_damaged_bytes(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        store.publish(ROWS, "x")
        earlier = store.previous("x")
        (current,) = [key for key in objects() if "/.orch/" not in key]
        overwrite(current, objects()[current][:-1] + b"?")
        with pytest.raises(ArtifactReplacedError, match="no longer current"):
            store.publish(Refreshed(MORE, earlier=earlier), "x")
        store.publish(Refreshed(ROWS, earlier=earlier), "x")
        assert store.download_table("x").equals(ROWS)

    def test_explicit_arguments_win_over_those_of_a_stream(self, store: PipelineStore) -> None:
        store.publish(MORE, "x")
        earlier = store.previous("x")
        current = store.publish(OTHER, "x").sha256
        stream = Refreshed(ROWS, earlier=earlier)
        store.publish(stream, "x", replaces=current, state={"mine": 1})
        assert last_state(store) == {"mine": 1}

    def test_an_unchanged_stream_returns_the_current_version_and_writes_nothing(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        store.publish(MORE, "x")
        published = store.publish(ROWS, "x", state=STATE)
        before = objects()
        stream = Refreshed(ROWS.slice(0, 0), earlier=store.previous("x"), unchanged=True)
        assert store.publish(stream, "x") == published
        assert store.publish_stream(stream, stream.schema, "x") == published
        assert objects() == before

    def test_an_unchanged_stream_whose_version_was_replaced_is_refused(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        store.publish(ROWS, "x")
        stream = Refreshed(ROWS.slice(0, 0), earlier=store.previous("x"), unchanged=True)
        current = store.publish(OTHER, "x").sha256
        before = objects()
        with pytest.raises(ArtifactReplacedError) as error:
            store.publish(stream, "x")
        assert error.value.current == current
        assert objects() == before
        store.delete("x")
        with pytest.raises(ArtifactReplacedError):
            store.publish(stream, "x")

    def test_an_unchanged_stream_is_never_stored_as_a_table_without_rows(
        self, store: PipelineStore
    ) -> None:
        store.publish(ROWS, "x")
        stream = Refreshed(ROWS.slice(0, 0), earlier=store.previous("x"), unchanged=True)
        with pytest.raises(UnstorableTableError, match="Nothing has changed"):
            store.publish_set({"a": stream}, "s")
        assert not store.exists("s", kind=ArtifactKind.SET)

    def test_a_frame_with_a_column_named_refresh_is_a_frame(self, store: PipelineStore) -> None:
        frame = pd.DataFrame({"refresh": [1, 2], "state": ["a", "b"]})
        store.publish(frame, "x")
        assert store.download("x").equals(frame)

    # Earlier versions

    def test_the_previous_version_is_described(self, store: PipelineStore) -> None:
        previous: StoredTable | None = store.previous("x")
        assert previous is None
        published = store.publish(ROWS, "x", state=STATE)
        previous = store.previous("x")
        assert (previous.uri, previous.version) == (published.uri, published.sha256)
        assert (previous.num_rows, previous.bytes) == (3, published.bytes)
        assert previous.state == STATE
        assert previous.schema == ROWS.schema
        assert previous.columns(["a", "record_id"]).equals(ROWS.select(["a", "record_id"]))
        assert previous.columns(["a.b"]).equals(ROWS.select(["a.b"]))
        assert previous.columns([]).num_columns == 0
        assert pa.Table.from_batches(previous.batches(), ROWS.schema).equals(ROWS)
        with pytest.raises(KeyError, match="nothing"):
            previous.columns(["nothing"])

    def test_an_earlier_version_is_read_as_well(self, store: PipelineStore) -> None:
        first = store.publish(ROWS, "x", state=STATE).sha256
        store.publish(OTHER, "x")
        previous = store.previous("x", first)
        assert (previous.version, previous.state) == (first, STATE)
        assert previous.columns(["record_id"]).equals(ROWS.select(["record_id"]))
        assert store.previous("x", "0" * 64) is None

    def test_a_frame_is_read_as_its_arrow_table(self, store: PipelineStore) -> None:
        store.publish(FRAME, "x")
        previous = store.previous("x")
        expected = store.download_table("x")
        assert previous.schema.equals(expected.schema, check_metadata=True)
        assert previous.columns(["weight"]).equals(expected.select(["weight"]))
        (batch,) = previous.batches()
        assert batch.schema.equals(expected.schema, check_metadata=True)

    def test_asking_for_the_previous_version_reads_no_data(self, store: PipelineStore) -> None:
        store.publish(ROWS, "x", state=STATE)
        store, backend = watched(store)
        previous = store.previous("x")
        assert (previous.num_rows, previous.state) == (3, STATE)
        assert len(backend.opened) == 1
        assert backend.data_opened() == 0

    def test_data_are_fetched_once_and_freed_at_their_end(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        store.publish(ROWS, "x")
        store, backend = watched(store)
        previous = store.previous("x")
        previous.columns(["record_id"])
        assert previous.schema == ROWS.schema
        others = previous.batches()
        first = next(others)  # a reading that is under way isn't disturbed
        assert pa.Table.from_batches(previous.batches()).equals(ROWS)
        assert pa.Table.from_batches([first, *others]).equals(ROWS)
        assert backend.data_opened() == 1
        del others
        gc.collect()
        assert backend.open_files == 0
        assert previous.columns(["record_id"]).num_rows == 3  # fetched again

    def test_data_are_freed_when_they_are_no_longer_used(self, store: PipelineStore) -> None:
        store.publish(ROWS, "x")
        store, backend = watched(store)
        previous = store.previous("x")
        batches = previous.batches()
        next(batches)
        del previous
        gc.collect()
        assert backend.open_files == 1
        del batches
        gc.collect()
        assert backend.open_files == 0

    def test_what_is_read_for_the_next_version_is_no_input(self, store: PipelineStore) -> None:
        store.publish(ROWS, "x")
        with noting_inputs() as inputs:
            previous = store.previous("x")
            previous.columns(["record_id"])
            list(previous.batches())
        assert inputs == {}

    def test_damaged_bytes_are_found_before_the_first_row(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        store.publish(ROWS, "x")
        previous = store.previous("x")
        (key,) = [key for key in objects() if "/versions/" in key]
        overwrite(key, objects()[key][:-1] + b"?")
        for read in (lambda: previous.columns(["record_id"]), lambda: next(previous.batches())):
            with pytest.raises(ArtifactCorruptError):
                read()

    def test_what_another_program_wrote_is_no_previous_version(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite, remove: Remove
    ) -> None:
        store.publish(ROWS, "x")
        (current,) = [key for key in objects() if "/.orch/" not in key]
        remove(current)
        overwrite(current, b"mine")
        with pytest.raises(ArtifactCorruptError, match="no manifest has the hash"):
            store.previous("x")

    def test_an_earlier_version_stays_readable_while_it_is_replaced(
        self, store: PipelineStore
    ) -> None:
        store.publish(ROWS, "x")
        previous = store.previous("x")
        store.publish(OTHER, "x")
        assert pa.Table.from_batches(previous.batches()).equals(ROWS)
        store.retain(keep_last=0)
        assert store.previous("x").version != previous.version
        with pytest.raises(ArtifactNotFoundError):
            next(previous.batches())

    # Sets

    def test_tables_of_a_set_are_taken_into_the_next_one_unread(self, store: PipelineStore) -> None:
        assert store.previous_members("s") is None
        published = store.publish_set({"a": ROWS, "b": MORE}, "s", state=STATE)
        store, backend = watched(store)
        previous = store.previous_members("s")
        assert list(previous) == ["a", "b"]
        assert (previous.uri, previous.version) == (published.uri, published.sha256)
        assert (previous.state, previous.num_rows) == (STATE, 5)
        store.publish_set({"c": OTHER, "a": previous["a"]}, "s")
        assert not any("/members/" in key for key in backend.opened)
        tables = store.download_set_tables("s")
        assert list(tables) == ["c", "a"]
        assert tables["a"].equals(ROWS)
        assert store.verify() == []

    def test_the_list_of_a_sets_tables_is_read_once_it_is_needed(
        self, store: PipelineStore, objects: Objects, remove: Remove
    ) -> None:
        store.publish_set({"a": ROWS}, "s", state=STATE)
        store, backend = watched(store)
        previous = store.previous_members("s")
        assert (previous.state, previous.num_rows) == (STATE, 3)
        assert not any("/versions/" in key for key in backend.opened)
        assert [*previous] == [*previous] == ["a"]
        assert sum("/versions/" in key for key in backend.opened) == 1
        previous = store.previous_members("s")
        (key,) = [key for key in objects() if "/versions/" in key]
        remove(key)
        with pytest.raises(ArtifactNotFoundError):
            len(previous)

    def test_a_table_of_a_set_is_read_from_the_version_it_was_taken_from(
        self, store: PipelineStore
    ) -> None:
        store.publish_set({"a": ROWS, "b": MORE}, "s")
        table = store.previous_members("s").table("b")
        store.publish_set({"b": OTHER}, "s")
        assert table.num_rows == MORE.num_rows
        assert pa.Table.from_batches(table.batches(), table.schema).equals(MORE)
        first = MORE.column_names[:1]
        assert table.columns(first).equals(MORE.select(first))

    def test_the_same_tables_are_the_same_version_of_a_set(self, store: PipelineStore) -> None:
        published = store.publish_set({"a": ROWS, "b": MORE}, "s")
        again = store.publish_set({**store.previous_members("s")}, "s")
        assert (again.sha256, again.members) == (published.sha256, published.members)

    def test_a_set_with_earlier_tables_replaces_only_the_set_that_they_come_from(
        self, store: PipelineStore
    ) -> None:
        first = store.publish_set({"a": ROWS}, "s").sha256
        previous = store.previous_members("s")
        current = store.publish_set({"a": MORE}, "s").sha256
        with pytest.raises(ArtifactReplacedError):
            store.publish_set({**previous, "b": MORE}, "s")
        store.publish_set({**previous, "b": MORE}, "s", replaces=current)
        assert store.download_set_tables("s")["a"].equals(ROWS)
        assert [*store.previous_members("s", first)] == ["a"]

    def test_an_earlier_table_that_is_gone_is_refused(
        self, store: PipelineStore, objects: Objects, remove: Remove
    ) -> None:
        store.publish_set({"a": ROWS}, "s")
        previous = store.previous_members("s")
        (key,) = [key for key in objects() if "/members/" in key]
        remove(key)
        before = objects()
        with pytest.raises(ArtifactNotFoundError, match="'b' of 's' is no longer stored"):
            store.publish_set({"b": previous["a"]}, "s")
        assert objects() == before

    def test_a_table_of_another_set_or_format_is_refused(
        self, store: PipelineStore, open_store: OpenStore
    ) -> None:
        store.publish_set({"a": ROWS}, "s")
        member = store.previous_members("s")["a"]
        (other,) = set(StorageFormat) - {store._format}
        for each, name in ((store, "t"), (open_store(prefix="trials/prod", format=other), "s")):
            with pytest.raises(UnstorableTableError, match="Only the same set"):
                each.publish_set({"a": member}, name)
