"""Versions, manifests and lineage, on every backend."""

import json

import pandas as pd
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal

from orch_assets.errors import ArtifactCorruptError, ArtifactNotFoundError
from orch_assets.stores import (
    ArtifactKind,
    PipelineStore,
    StorageFormat,
    derived_from,
    noting_inputs,
    published_by,
)
from orch_assets.stores.formats.checked_json import digest
from orch_assets.study import study_context
from orch_assets_tests.contracts.store_fixtures import (
    FRAME,
    OTHER,
    Objects,
    OpenStore,
    Overwrite,
    StoreFixtures,
)


class HistoryContract(StoreFixtures):
    """The history that a store keeps."""

    # Before anything is published

    def test_a_store_is_tried_by_one_object_that_nobody_sees(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        """It is the same object each time; listings, verification and retention ignore it."""
        store.try_access()
        before = objects()
        assert list(before) == ["trials/prod/.orch/_probe"]
        store.try_access()
        assert objects() == before
        store.upload(FRAME, "probe")
        store.upload(FRAME, "a/probe")
        store.try_access()
        assert store.list_artifacts() == ["a/probe", "probe"]
        assert not [
            name
            for kind in (ArtifactKind.SET, ArtifactKind.JSON)
            for name in store.list_artifacts(kind=kind)
        ]
        assert store.verify() == []
        assert store.retain(keep_last=0) == []
        store.delete("probe", history=True)
        store.delete("a/probe", history=True)
        assert objects() == before

    def test_a_store_without_a_prefix_is_tried_too(
        self, open_store: OpenStore, objects: Objects
    ) -> None:
        open_store().try_access()
        assert list(objects()) == [".orch/_probe"]

    # Versions and manifests

    def test_every_version_stays(self, store: PipelineStore) -> None:
        first = store.publish(FRAME, "v").sha256
        second = store.publish(OTHER, "v").sha256
        assert [each.content.sha256 for each in store.versions("v")] == [first, second]
        assert_frame_equal(store.download("v", version=first), FRAME)
        assert_frame_equal(store.download("v"), OTHER)

    def test_publishing_again_writes_a_manifest_entry_and_no_data(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        first = store.publish(FRAME, "again")
        before = objects()
        second = store.publish(FRAME, "again")
        added = {key: data for key, data in objects().items() if key not in before}
        assert second.sha256 == first.sha256
        assert [key for key in added if "/manifests/" not in key] == []
        assert len(added) == 1
        assert len(store.manifest("again").publications) == 2

    def test_an_earlier_version_becomes_current_again(self, store: PipelineStore) -> None:
        for frame in (FRAME, OTHER, FRAME):
            store.upload(frame, "back")
        assert_frame_equal(store.download("back"), FRAME)
        assert [each.content.rows for each in store.versions("back")] == [1, 3]

    def test_tables_of_equal_text_come_back_with_their_own_types(
        self, open_store: OpenStore
    ) -> None:
        """CSV text doesn't hold types, and its hash is the version."""
        for store in (open_store(format=StorageFormat.CSV), open_store(prefix="parquet")):
            frame = pd.DataFrame({"n": [1, 2]})
            with_attrs = frame.copy()
            with_attrs.attrs = {"unit": "kg"}
            for each in (frame, frame.astype("float64"), frame.astype("Int8"), with_attrs, frame):
                store.upload(each, "x")
                assert_frame_equal(store.download("x"), each)
                assert store.download("x").attrs == each.attrs
                columns = store.versions("x")[-1].content.columns
                assert columns == store.manifest("x").content.columns
                assert columns[0][1] == str(store.open_reader("x").schema.field("n").type)

    def test_sets_and_streams_of_equal_text_come_back_with_their_own_types(
        self, open_store: OpenStore
    ) -> None:
        store = open_store(format=StorageFormat.CSV)
        tables = [pa.table({"n": pa.array([1, None], type_)}) for type_ in (pa.int8(), pa.int64())]
        sets = [store.publish_set({"a": table}, "set").sha256 for table in tables]
        for table, version in zip(tables, sets, strict=True):
            assert store.download_set_tables("set", version)["a"].equals(table)
            store.publish_stream(table.to_batches(), table.schema, "stream")
            assert store.open_reader("stream").read_all().equals(table)

    def test_compacting_keeps_the_types_of_equal_text(self, open_store: OpenStore) -> None:
        store = open_store(format=StorageFormat.CSV)
        whole, real = pd.DataFrame({"n": [1]}), pd.DataFrame({"n": [1.0]})
        for frame in (whole, whole, whole, real, real, real):
            store.upload(frame, "x")
        before = store.versions("x")
        store.retain(keep_last=1)
        assert store.versions("x") == before
        assert_frame_equal(store.download("x"), real)
        store.restore("x", before[-1].content.sha256)
        assert_frame_equal(store.download("x"), real)

    def test_a_manifest_says_who_published(self, store: PipelineStore) -> None:
        with study_context("ONC-301", provenance={"run": "r-1", "code": "abc"}):
            store.upload(FRAME, "who")
        (publication,) = store.manifest("who").publications
        assert publication.study == "ONC-301"
        assert publication.provenance == {"run": "r-1", "code": "abc"}
        assert publication.user
        assert publication.host
        assert publication.libraries["pyarrow"] == pa.__version__
        assert publication.published_at.endswith("+00:00")

    def test_what_a_later_release_adds_to_manifests_does_no_harm(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        store.upload(FRAME, "x")
        (key,) = (key for key in objects() if "/manifests/" in key)
        value = json.loads(objects()[key])
        del value["checksum"]
        for part in (value, value["content"], value["publications"][0]):
            part["of_a_later_release"] = [1]
        overwrite(key, json.dumps({**value, "checksum": digest(value)}).encode())
        assert_frame_equal(store.download("x"), FRAME)
        assert len(store.manifest("x").publications) == 1

    def test_run_and_time_are_not_in_the_data(self, store: PipelineStore) -> None:
        with study_context("A", provenance={"run": "1"}):
            first = store.publish(FRAME, "x")
        with study_context("B", provenance={"run": "2"}):
            assert store.publish(FRAME, "y").sha256 == first.sha256

    def test_versions_have_no_extension(self, store: PipelineStore, objects: Objects) -> None:
        store.upload(FRAME, "x")
        store.publish_set({"a": FRAME}, "x")
        hidden = [key for key in objects() if "/.orch/" in key]
        assert len(hidden) == 8
        assert not any("." in key.rpartition("/")[2] for key in hidden)

    def test_restoring_a_version_makes_it_current(self, store: PipelineStore) -> None:
        first = store.publish(FRAME, "x")
        store.upload(OTHER, "x")
        restored = store.restore("x", first.sha256)
        assert (restored.uri, restored.sha256, restored.rows) == (first.uri, first.sha256, 3)
        assert_frame_equal(store.download("x"), FRAME)
        assert len(store.manifest("x").publications) == 2

    def test_a_set_and_a_value_are_restored(self, store: PipelineStore) -> None:
        first = store.publish_set({"a": FRAME}, "x")
        store.publish_set({"a": OTHER}, "x")
        value = store.publish_json([1], "x")
        store.publish_json([2], "x")
        assert store.restore("x", first.sha256, kind=ArtifactKind.SET).rows == 3
        store.restore("x", value.sha256, kind=ArtifactKind.JSON)
        assert_frame_equal(store.download_set("x")["a"], FRAME)
        assert store.download_json("x") == [1]

    def test_what_is_damaged_is_not_restored(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        first = store.publish_set({"a": FRAME}, "x").sha256
        (member,) = (key for key in objects() if "/members/" in key)
        store.publish_set({"a": OTHER}, "x")
        overwrite(member, b"other")
        with pytest.raises(ArtifactCorruptError, match="'x'"):
            store.restore("x", first, kind=ArtifactKind.SET)
        assert len(store.download_set("x")["a"]) == 1

    def test_a_deleted_artifact_is_gone_until_it_is_restored(self, store: PipelineStore) -> None:
        published = store.publish(FRAME, "x")
        store.delete("x")
        store.delete("x")
        assert not store.exists("x")
        assert store.list_artifacts() == []
        with pytest.raises(ArtifactNotFoundError):
            store.download("x")
        store.restore("x", published.sha256)
        assert_frame_equal(store.download("x"), FRAME)

    def test_an_artifact_deleted_with_its_history_leaves_nothing(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        store.upload(FRAME, "x2")
        before = objects()
        store.upload(FRAME, "x")
        store.upload(OTHER, "x")
        store.delete("x", history=True)
        assert objects() == before

    def test_a_manifest_names_the_inputs(self, store: PipelineStore) -> None:
        source = store.publish(FRAME, "source")
        with derived_from({source.uri: source.sha256}):
            store.upload(OTHER, "result")
        store.upload(OTHER, "other")
        (publication,) = store.manifest("result").publications
        assert publication.inputs == {source.uri: source.sha256}
        assert store.manifest("other").publications[0].inputs == {}

    def test_what_is_read_is_noted_as_an_input(self, store: PipelineStore) -> None:
        table = store.publish(FRAME, "x")
        tables = store.publish_set({"a": FRAME}, "x")
        value = store.publish_json(1, "x")
        store.upload(OTHER, "unread")
        with noting_inputs() as all_of_them:
            store.open_reader("x")
            with noting_inputs() as inner:
                store.download_json("x")
            store.open_reader("x", member="a")
        assert inner == {value.uri: value.sha256}
        assert all_of_them == {each.uri: each.sha256 for each in (table, tables, value)}
        older = store.publish(OTHER, "x")
        with noting_inputs(inner):
            store.download("x", version=table.sha256)
        assert inner == {value.uri: value.sha256, older.uri: table.sha256}

    def test_blocks_in_one_another_name_the_inputs_and_facts_of_both(
        self, store: PipelineStore
    ) -> None:
        with derived_from({"a": "1"}), published_by({"run": "r"}), derived_from({"b": "2"}):
            store.upload(FRAME, "x")
            with study_context("ONC-301", provenance={"run": "its own"}), published_by({"at": "y"}):
                store.upload(FRAME, "x")
        first, second = store.manifest("x").publications
        assert first.inputs == second.inputs == {"a": "1", "b": "2"}
        assert first.provenance == {"run": "r"}
        assert second.provenance == {"run": "its own", "at": "y"}

    def test_blocks_may_end_in_another_order_than_they_began(self, store: PipelineStore) -> None:
        first, second = derived_from({"a": "1"}), published_by({"run": "r"})
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        store.upload(FRAME, "x")
        second.__exit__(None, None, None)
        store.upload(FRAME, "x")
        within, after = store.manifest("x").publications
        assert (within.inputs, within.provenance) == ({}, {"run": "r"})
        assert (after.inputs, after.provenance) == ({}, {})
