"""The contract of all stores: subclass it and implement the fixtures."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal

from orch_assets.errors import (
    ArtifactCorruptError,
    ArtifactNameError,
    ArtifactNotFoundError,
    StoreError,
    UnstorableTableError,
)
from orch_assets.stores import ArtifactKind, PipelineStore, StorageFormat
from orch_assets.stores.formats import batches
from orch_assets_tests.contracts.store_damage import DamageContract
from orch_assets_tests.contracts.store_documents import DOCUMENTS, DocumentsContract
from orch_assets_tests.contracts.store_erasing import ErasingContract
from orch_assets_tests.contracts.store_fixtures import FRAME, OTHER, Objects, OpenStore, Overwrite
from orch_assets_tests.contracts.store_history import HistoryContract
from orch_assets_tests.contracts.store_marks import MarksContract
from orch_assets_tests.contracts.store_names import NamesContract
from orch_assets_tests.contracts.store_order import OrderContract
from orch_assets_tests.contracts.store_places import PlacesContract
from orch_assets_tests.contracts.store_previous import PreviousContract
from orch_assets_tests.contracts.store_readable import ReadableContract
from orch_assets_tests.contracts.store_redaction import RedactionContract
from orch_assets_tests.contracts.store_retention import RetentionContract
from orch_assets_tests.contracts.store_shipped import ShippedTablesContract
from orch_assets_tests.contracts.store_upkeep import UpkeepContract


class StoreContract(
    DamageContract,
    DocumentsContract,
    ErasingContract,
    HistoryContract,
    MarksContract,
    NamesContract,
    OrderContract,
    PlacesContract,
    PreviousContract,
    ReadableContract,
    RedactionContract,
    RetentionContract,
    ShippedTablesContract,
    UpkeepContract,
):
    """Subclasses implement the fixtures of ``StoreFixtures``, all for one empty location."""

    # Tables

    def test_a_table_comes_back(self, store: PipelineStore) -> None:
        store.upload(FRAME, "features/windows_2024_01")
        assert_frame_equal(store.download("features/windows_2024_01"), FRAME)

    def test_the_seeds_upload_returns_uris(self, store: PipelineStore) -> None:
        table = pa.table({"n": [1]})
        assert store.upload(FRAME, "t") == store.publish(FRAME, "t").uri
        assert store.upload_stream(table.to_batches(), table.schema, "s").endswith(
            store.upload(table, "s").rpartition("/")[2]
        )
        assert store.upload_set({"a": table}, "s").endswith("/trials/prod/s.set")

    def test_each_format_comes_back(self, open_store: OpenStore) -> None:
        for kind in StorageFormat:
            store = open_store(format=kind)
            store.upload(FRAME, "both")
            assert_frame_equal(store.download("both"), FRAME)
            assert store.list_artifacts() == ["both"]

    def test_a_reader_gives_record_batches(self, store: PipelineStore) -> None:
        frame = pd.DataFrame({"n": range(100_000), "arm": pd.Categorical(["b", "a"] * 50_000)})
        store.upload(frame, "x")
        reader = store.open_reader("x")
        assert reader.schema.names == ["n", "arm"]
        assert reader.schema.metadata is None or b"orch_assets" not in reader.schema.metadata
        batches = list(reader)
        table = pa.Table.from_batches(batches)
        assert table["n"].to_pylist() == list(range(100_000))
        assert table["arm"].to_pylist() == ["b", "a"] * 50_000

    def test_a_reader_that_is_dropped_closes_what_it_read(self, store: PipelineStore) -> None:
        store.upload(FRAME, "x")
        before = psutil.Process().num_fds()
        store.download("x")
        for _ in range(3):
            store.open_reader("x")
        for reader in (store.open_reader("x"), store.open_reader("x")):
            assert reader.read_next_batch().num_rows == 3
        del reader
        assert psutil.Process().num_fds() <= before + 1  # a connection may have come

    def test_a_damaged_table_is_refused_before_its_first_batch(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        store.upload(FRAME, "x")
        (key,) = (key for key in objects() if "/.orch/" not in key)
        overwrite(key, objects()[key][:-1])
        with pytest.raises(ArtifactCorruptError, match="'x'"):
            store.open_reader("x")

    def test_the_uri_is_prefix_name_and_format(self, open_store: OpenStore) -> None:
        for kind in StorageFormat:
            uri = open_store(prefix="/clinops/prod/", format=kind).upload(FRAME, "features/w1")
            assert uri.endswith(f"/clinops/prod/features/w1.{kind.value}")

    def test_an_arrow_table_comes_back(self, store: PipelineStore) -> None:
        table = pa.table({"n": pa.array([1, None], pa.int32()), "s": ["", None]})
        store.upload(table, "arrow")
        assert store.download_table("arrow").equals(table, check_metadata=True)

    def test_a_stream_comes_back(self, store: PipelineStore) -> None:
        batches = [pa.record_batch({"n": [first, first + 1]}) for first in (1, 3, 5)]
        published = store.publish_stream(iter(batches), batches[0].schema, "stream")
        assert published.rows == 6
        assert store.download_table("stream").to_pydict() == {"n": [1, 2, 3, 4, 5, 6]}

    @pytest.mark.parametrize(
        "error", [ConnectionResetError("cut"), ValueError("v"), pa.ArrowInvalid("a"), KeyError("k")]
    )
    @pytest.mark.parametrize("groups", [0, 2], ids=["at once", "after two row groups"])
    def test_a_stream_whose_source_fails_publishes_nothing(
        self,
        store: PipelineStore,
        objects: Objects,
        temporary: Path,
        monkeypatch: pytest.MonkeyPatch,
        error: Exception,
        groups: int,
    ) -> None:
        """The error of the source is raised, and no temporary file remains."""
        monkeypatch.setattr(batches, "ROW_GROUP_BYTES", 1 << 18)
        batch = pa.record_batch({"n": range(1 << 15)})

        def source() -> Iterator[pa.RecordBatch]:
            yield from [batch] * groups
            raise error

        def stream() -> pa.RecordBatchReader:
            return pa.RecordBatchReader.from_batches(batch.schema, source())

        for publish in (
            lambda: store.publish_stream(source(), batch.schema, "x"),
            lambda: store.publish_set({"a": batch.schema.empty_table(), "b": stream()}, "x"),
        ):
            with pytest.raises(type(error)) as caught:
                publish()
            assert caught.value is error
            assert not any("/.orch/" not in key or "/versions/" in key for key in objects())
        assert list(temporary.iterdir()) == []
        assert store.versions("x") == store.versions("x", kind=ArtifactKind.SET) == []

    def test_what_is_no_stream_is_refused(self, store: PipelineStore) -> None:
        table = pa.table({"n": [1]})
        for batches_, schema in (([table], table.schema), (table.to_batches(), None)):
            with pytest.raises(UnstorableTableError, match="pyarrow"):
                store.publish_stream(batches_, schema, "x")

    def test_a_batch_of_another_schema_is_refused(self, store: PipelineStore) -> None:
        batches = [pa.record_batch({"n": [1]}), pa.record_batch({"n": ["x"]})]
        with pytest.raises(UnstorableTableError, match="'n'"):
            store.publish_stream(batches, batches[0].schema, "stream")

    def test_published_says_what_is_stored(self, store: PipelineStore, objects: Objects) -> None:
        published = store.publish(FRAME, "facts")
        current = objects()[f"trials/prod/facts.{published.uri.rpartition('.')[2]}"]
        assert published.bytes == len(current)
        assert published.rows == 3
        assert published.columns == (
            ("subject", "string"),
            ("weight", "double"),
            ("visit", "int64"),
        )
        assert published.artifact == "facts"
        assert store.manifest("facts").content.sha256 == published.sha256

    # Names and listings

    def test_listing_compares_prefixes_at_a_slash(self, store: PipelineStore) -> None:
        for name in ("prod/b", "prod/a", "prod2/c", "prod", "prod/deep/d"):
            store.upload(OTHER, name)
        assert store.list_artifacts("prod") == ["prod/a", "prod/b", "prod/deep/d"]
        assert store.list_artifacts("prod/") == store.list_artifacts("prod")
        assert store.list_artifacts("pro") == []
        assert store.list_artifacts() == ["prod", "prod/a", "prod/b", "prod/deep/d", "prod2/c"]

    def test_a_store_lists_nothing_of_a_prefix_that_only_begins_alike(
        self, open_store: OpenStore
    ) -> None:
        open_store(prefix="prod2").upload(OTHER, "a")
        assert open_store(prefix="prod").list_artifacts() == []

    def test_an_empty_store_lists_nothing(self, store: PipelineStore) -> None:
        assert store.list_artifacts() == []
        assert not store.exists("nothing")

    def test_kinds_of_one_name_are_different_artifacts(
        self, store: PipelineStore, tmp_path: Path
    ) -> None:
        store.upload(OTHER, "same")
        store.publish_json({"n": 1}, "same")
        store.publish_set({"a": OTHER}, "same")
        for media_type, data in DOCUMENTS.items():
            store.publish_document(data, "same", media_type)
        (tmp_path / "file").write_bytes(b"1")
        store.publish_files({"A.xpt": tmp_path / "file"}, "same", "xpt")
        for kind in ArtifactKind:
            assert store.list_artifacts(kind=kind) == ["same"]
            assert store.exists("same", kind=kind)
            assert store.manifest("same", kind=kind).kind == kind.value
        assert store.kinds("same") == [*ArtifactKind]

    def test_the_kinds_of_a_name_are_not_those_of_its_neighbours(
        self, store: PipelineStore
    ) -> None:
        for number, name in enumerate(("x.1", "xy", "x/1", "x.json", "a/x")):
            store.publish_json(number, name)
        assert store.kinds("x") == []
        store.upload(FRAME, "x")
        store.publish_document(DOCUMENTS["image/png"], "x", "image/png")
        assert store.kinds("x") == [ArtifactKind.TABLE, ArtifactKind.PNG]
        assert store.kinds("x.1") == [ArtifactKind.JSON]
        store.delete("x", kind=ArtifactKind.TABLE)
        assert store.kinds("x") == [ArtifactKind.PNG]

    def test_stores_with_other_prefixes_see_the_same_artifact(self, open_store: OpenStore) -> None:
        open_store(prefix="a").upload(FRAME, "b/c")
        assert_frame_equal(open_store(prefix="a/b").download("c"), FRAME)

    def test_what_is_not_there_is_said_to_be_not_there(self, store: PipelineStore) -> None:
        with pytest.raises(ArtifactNotFoundError, match="'nothing'"):
            store.download("nothing")
        store.upload(FRAME, "something")
        for version in ("0" * 64, "latest"):
            with pytest.raises(ArtifactNotFoundError, match=version):
                store.download("something", version=version)

    @pytest.mark.parametrize("name", ["", "/a", "a//b", "../a", "a/..", "a\x00b", "a" * 300])
    def test_bad_names_are_refused_everywhere(self, store: PipelineStore, name: str) -> None:
        for use in (
            lambda: store.upload(FRAME, name),
            lambda: store.download(name),
            lambda: store.exists(name),
            lambda: store.versions(name),
            lambda: store.publish_json(1, name),
        ):
            with pytest.raises(ArtifactNameError):
                use()

    # Sets

    def test_a_set_comes_back(self, store: PipelineStore) -> None:
        tables = {"AE": FRAME, "Übersicht/1 ": OTHER, "": FRAME.iloc[:0]}
        store.publish_set(tables, "forms/ONC-301")
        found = store.download_set("forms/ONC-301")
        assert list(found) == list(tables)
        for member, frame in tables.items():
            assert_frame_equal(found[member], frame)

    def test_a_set_has_one_manifest_and_one_current_object(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        published = store.publish_set({"a": FRAME, "b": OTHER}, "pair")
        keys = list(objects())
        assert len([key for key in keys if "/manifests/" in key]) == 1
        assert sorted(key for key in keys if "/.orch/" not in key) == [
            "trials/prod/pair.set",
            f"trials/prod/pair/a~~1.{store.table_format}",
            f"trials/prod/pair/b~~1.{store.table_format}",
        ]
        assert published.rows == 4
        assert {name: each.rows for name, each in published.members.items()} == {"a": 3, "b": 1}

    def test_an_earlier_set_comes_back_whole(self, store: PipelineStore) -> None:
        first = store.publish_set({"a": FRAME, "b": OTHER}, "pair").sha256
        store.publish_set({"a": OTHER}, "pair")
        found = store.download_set("pair", version=first)
        assert list(found) == ["a", "b"]
        assert_frame_equal(found["a"], FRAME)

    def test_the_tables_of_a_set_may_be_streams(self, store: PipelineStore) -> None:
        table = pa.table({"n": range(3), "s": ["a", None, ""]})
        published = store.publish_set({"a": table.to_reader(1), "b": FRAME}, "pair")
        assert store.publish_set({"a": table, "b": FRAME}, "pair").sha256 == published.sha256
        assert store.download_set_tables("pair")["a"].equals(table)
        assert store.members("pair") == published.members
        assert store.upload(table.to_reader(), "one") == store.publish(table, "one").uri

    def test_a_table_of_a_set_is_read_batch_by_batch(self, store: PipelineStore) -> None:
        first = store.publish_set({"a": FRAME, "": OTHER}, "pair").sha256
        store.publish_set({"a": OTHER}, "pair")
        assert store.open_reader("pair", member="a").read_all().num_rows == 1
        assert store.open_reader("pair", first, member="a").read_all().num_rows == 3
        assert store.open_reader("pair", first, member="").read_all().num_rows == 1
        for missing in ("", "c"):
            with pytest.raises(ArtifactNotFoundError, match=f"'pair' has no table '{missing}'"):
                store.open_reader("pair", member=missing)

    def test_a_damaged_member_is_found(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        store.publish_set({"a": FRAME}, "pair")
        (key,) = (key for key in objects() if "/members/" in key)
        overwrite(key, objects()[key] + b" ")
        for read in (store.download_set, lambda name: store.open_reader(name, member="a")):
            with pytest.raises(ArtifactCorruptError, match="'pair'"):
                read("pair")

    def test_a_set_with_a_table_that_can_not_be_stored_names_it(self, store: PipelineStore) -> None:
        with pytest.raises(UnstorableTableError, match=r"'bad' of 'pair'.*'c'"):
            store.publish_set({"a": FRAME, "bad": pd.DataFrame({"c": [1j]})}, "pair")
        assert not store.exists("pair", kind=ArtifactKind.SET)

    # JSON

    @pytest.mark.parametrize("value", [None, 1, "ü\x00", [1.5, True], {"a": {"b": []}, "": 2**70}])
    def test_a_json_value_comes_back(self, store: PipelineStore, value: Any) -> None:
        published = store.publish_json(value, "results/x")
        assert published.uri.endswith("results/x.json")
        assert store.download_json("results/x") == value

    @pytest.mark.parametrize("value", [{"a": object()}, float("nan"), {1, 2}, "\ud800"])
    def test_what_json_has_not_is_refused_without_its_value(
        self, store: PipelineStore, value: Any
    ) -> None:
        with pytest.raises(StoreError, match="'results/x'") as caught:
            store.publish_json(value, "results/x")
        assert caught.value.__cause__ is None

    # At the same time

    def test_20_writers_of_one_name_leave_one_whole_table_and_20_versions(
        self, store: PipelineStore
    ) -> None:
        sizes = [10 + 1_500 * number for number in range(20)]
        frames = [pd.DataFrame({"n": range(size)}) for size in sizes]
        writers = [threading.Thread(target=store.upload, args=(each, "race")) for each in frames]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert len(store.download("race")) in sizes
        versions = {each.content.rows: each.content.sha256 for each in store.versions("race")}
        assert sorted(versions) == sizes
        for frame in frames[::5]:
            assert_frame_equal(store.download("race", version=versions[len(frame)]), frame)

    def test_a_reader_sees_whole_tables_while_they_change(self, store: PipelineStore) -> None:
        frames = [pd.DataFrame({"n": range(size)}) for size in (10, 20_000)]
        store.upload(frames[0], "busy")
        done = threading.Event()

        def write() -> None:
            for turn in range(20):
                store.upload(frames[turn % 2], "busy")
            done.set()

        writer = threading.Thread(target=write)
        writer.start()
        seen = set()
        while not done.is_set():
            seen.add(len(store.download("busy")))
        writer.join()
        assert seen <= {10, 20_000}
