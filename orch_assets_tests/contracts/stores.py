"""What every store does, whatever holds its bytes: subclass, give the fixtures, run."""

import threading
from collections.abc import Callable, Iterator
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
    StudyGivenUpError,
    UnstorableTableError,
)
from orch_assets.stores import ArtifactKind, PipelineStore, StorageFormat, derived_from
from orch_assets.study import study_context

OpenStore = Callable[..., PipelineStore]
Objects = Callable[[], dict[str, bytes]]
Overwrite = Callable[[str, bytes], None]
Remove = Callable[[str], None]

FRAME = pd.DataFrame(
    {"subject": ["001", "", None], "weight": [70.5, None, 0.1], "visit": [1, 2, 3]}
)
OTHER = pd.DataFrame({"subject": ["002"], "weight": [71.5], "visit": [4]})


class StoreContract:
    """Subclasses give the fixtures that raise here, all over one empty place."""

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """Return a function of ``prefix`` and ``format`` that opens a store."""
        raise NotImplementedError

    @pytest.fixture
    def objects(self) -> Objects:
        """Return a function that returns all objects by key, the hidden ones too."""
        raise NotImplementedError

    @pytest.fixture
    def overwrite(self) -> Overwrite:
        """Return a function that changes an object behind the store's back."""
        raise NotImplementedError

    @pytest.fixture
    def remove(self) -> Remove:
        """Return a function that removes an object behind the store's back."""
        raise NotImplementedError

    @pytest.fixture(params=list(StorageFormat))
    def store(self, request: pytest.FixtureRequest, open_store: OpenStore) -> PipelineStore:
        return open_store(prefix="trials/prod", format=request.param)

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

    def test_a_stream_that_fails_publishes_nothing(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        batch = pa.record_batch({"n": [1]})

        def cut() -> Iterator[pa.RecordBatch]:
            yield batch
            raise ConnectionResetError("cut")

        with pytest.raises(ConnectionResetError, match="cut"):
            store.publish_stream(cut(), batch.schema, "stream")
        assert objects() == {}

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

    def test_kinds_of_one_name_are_different_artifacts(self, store: PipelineStore) -> None:
        store.upload(OTHER, "same")
        store.publish_json({"n": 1}, "same")
        store.publish_set({"a": OTHER}, "same")
        for kind in ArtifactKind:
            assert store.list_artifacts(kind=kind) == ["same"]
            assert store.exists("same", kind=kind)
            assert store.manifest("same", kind=kind).kind == kind.value

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

    def test_run_and_time_are_not_in_the_data(self, store: PipelineStore) -> None:
        with study_context("A", provenance={"run": "1"}):
            first = store.publish(FRAME, "x")
        with study_context("B", provenance={"run": "2"}):
            assert store.publish(FRAME, "y").sha256 == first.sha256

    def test_versions_have_no_extension(self, store: PipelineStore, objects: Objects) -> None:
        store.upload(FRAME, "x")
        store.publish_set({"a": FRAME}, "x")
        hidden = [key for key in objects() if "/.orch/" in key]
        assert len(hidden) == 5
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

    # Retention

    def test_the_last_versions_are_kept(self, store: PipelineStore) -> None:
        for size in range(1, 6):
            store.upload(pd.DataFrame({"n": range(size)}), "x")
        store.restore("x", store.versions("x")[0].content.sha256)
        assert len(store.retain(keep_last=2)) == 3
        assert [each.content.rows for each in store.versions("x")] == [5, 1]
        assert len(store.download("x")) == 1
        assert store.verify() == []

    def test_the_current_version_is_kept_in_any_case(self, store: PipelineStore) -> None:
        store.upload(FRAME, "x")
        store.publish_set({"a": FRAME, "b": OTHER}, "y")
        store.publish_set({"a": FRAME}, "y")
        removed = store.retain(keep_last=0)
        assert len(removed) == 2, "a set's version, and the table that only it had"
        assert_frame_equal(store.download("x"), FRAME)
        assert list(store.download_set("y")) == ["a"]
        assert store.verify() == []

    def test_young_versions_are_kept(self, store: PipelineStore) -> None:
        store.upload(FRAME, "x")
        store.upload(OTHER, "x")
        assert store.retain(keep_days=1) == []
        assert len(store.retain(keep_days=0)) == 1

    def test_inputs_of_kept_versions_are_kept(self, store: PipelineStore) -> None:
        """Inputs of inputs too."""
        oldest = store.publish(OTHER, "a")
        with derived_from({oldest.uri: oldest.sha256}):
            older = store.publish(FRAME, "b")
        with derived_from({older.uri: older.sha256}):
            store.publish(FRAME, "c")
        for name in "ab":
            for size in (10, 20):
                store.publish(pd.DataFrame({"n": range(size)}), name)
        assert len(store.retain(keep_last=1)) == 2
        assert_frame_equal(store.download("a", version=oldest.sha256), OTHER)
        assert_frame_equal(store.download("b", version=older.sha256), FRAME)

    def test_retention_leaves_other_prefixes_alone(self, store: PipelineStore) -> None:
        for name in ("prod/x", "prod2/x"):
            store.upload(FRAME, name)
            store.upload(OTHER, name)
        assert len(store.retain("prod", keep_last=1)) == 1
        assert len(store.versions("prod2/x")) == 2

    def test_retention_without_a_rule_is_refused(self, store: PipelineStore) -> None:
        with pytest.raises(ValueError, match="keep_last"):
            store.retain()

    # Damage

    def test_a_sound_store_has_no_fault(self, store: PipelineStore, objects: Objects) -> None:
        store.upload(FRAME, "x")
        store.upload(OTHER, "x")
        store.publish_set({"a": FRAME}, "deep/y")
        store.publish_json(1, "z")
        seen = []
        assert store.verify(progress=lambda *at: seen.append(at)) == []
        assert seen == [(done, len(objects())) for done in range(len(objects()) + 1)]

    def test_verify_finds_every_damage(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        """Each object once with a flipped bit and once cut; then it is as it was."""
        store.upload(FRAME, "x")
        store.publish_set({"a": OTHER}, "deep/y")
        whole = objects()
        for key, data in whole.items():
            for damaged in (bytes([data[0] ^ 1]) + data[1:], data[:-1]):
                overwrite(key, damaged)
                faults = store.verify()
                assert key in {fault.uri[-len(key) :] for fault in faults}
                assert {fault.artifact for fault in faults} == {"x" if "x" in key else "deep/y"}
                overwrite(key, data)
        assert store.verify() == []

    def test_verify_finds_what_is_missing(
        self, store: PipelineStore, objects: Objects, remove: Remove, overwrite: Overwrite
    ) -> None:
        store.upload(FRAME, "x")
        store.publish_set({"a": OTHER}, "y")
        for key, data in objects().items():
            remove(key)
            missing_current = "/.orch/" not in key  # as after delete()
            assert bool(store.verify()) is not missing_current, key
            overwrite(key, data)

    def test_verify_looks_below_its_prefix_only(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        for name in ("prod/x", "prod2/x"):
            store.upload(FRAME, name)
        for key in objects():
            if "/prod2/" in key:
                overwrite(key, b"")
        assert store.verify("prod") == []
        assert len(store.verify("prod2")) == 3

    def test_a_removed_manifest_is_found(
        self, store: PipelineStore, objects: Objects, remove: Remove
    ) -> None:
        store.upload(FRAME, "x")
        (key,) = (key for key in objects() if "/manifests/" in key)
        remove(key)
        with pytest.raises(ArtifactCorruptError, match="no manifest"):
            store.download("x")
        problems = [fault.problem for fault in store.verify()]
        assert len(problems) == 2
        assert all("no manifest" in problem for problem in problems)

    def test_any_change_of_the_current_object_is_found(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        store.upload(FRAME, "x")
        (key,) = (key for key in objects() if "/.orch/" not in key)
        whole = objects()[key]
        for damaged in (b"", whole[:-1], whole + b" ", bytes([whole[0] ^ 1]) + whole[1:]):
            overwrite(key, damaged)
            with pytest.raises(ArtifactCorruptError, match="'x'"):
                store.download("x")
        assert_frame_equal(
            store.download("x", version=store.versions("x")[0].content.sha256), FRAME
        )

    def test_publishing_again_repairs(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        published = store.publish(FRAME, "x")
        for key, data in objects().items():
            if "/manifests/" not in key:
                overwrite(key, data[:-1] + bytes([data[-1] ^ 1]))
        store.upload(FRAME, "x")
        assert_frame_equal(store.download("x"), FRAME)
        assert_frame_equal(store.download("x", version=published.sha256), FRAME)

    def test_a_damaged_version_is_found(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        published = store.publish(FRAME, "x")
        (key,) = (key for key in objects() if "/versions/" in key)
        overwrite(key, b"other")
        with pytest.raises(ArtifactCorruptError, match=published.sha256):
            store.download("x", version=published.sha256)

    def test_a_damaged_manifest_is_found(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        store.upload(FRAME, "x")
        (key,) = (key for key in objects() if "/manifests/" in key)
        for damaged in (b"", b"[]", b"{}", objects()[key].replace(b'"sha256": "', b'"sha256": "0')):
            overwrite(key, damaged)
            with pytest.raises(ArtifactCorruptError, match="manifest"):
                store.download("x")

    def test_bytes_that_nobody_published_are_not_read(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        store.upload(FRAME, "x")
        (key,) = (key for key in objects() if "/.orch/" not in key)
        overwrite(key.replace("x.", "y."), objects()[key])
        assert store.list_artifacts() == ["x", "y"]
        with pytest.raises(ArtifactCorruptError, match="no manifest"):
            store.download("y")

    # Studies that were given up

    def test_a_study_that_was_given_up_publishes_nothing(self, store: PipelineStore) -> None:
        store.upload(FRAME, "x")
        with study_context("ONC-301") as context:
            context.lease.revoke()
            for publish in (
                lambda: store.publish(OTHER, "x"),
                lambda: store.publish(FRAME, "x"),
                lambda: store.publish_json(1, "x"),
                lambda: store.publish_set({"a": OTHER}, "x"),
            ):
                with pytest.raises(StudyGivenUpError, match="ONC-301"):
                    publish()
        assert_frame_equal(store.download("x"), FRAME)
        assert [len(each.publications) for each in store.versions("x")] == [1]
        assert not store.exists("x", kind=ArtifactKind.SET)
        assert not store.exists("x", kind=ArtifactKind.JSON)

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
        assert [key for key in keys if "/.orch/" not in key] == ["trials/prod/pair.set"]
        assert published.rows == 4
        assert {name: each.rows for name, each in published.members.items()} == {"a": 3, "b": 1}

    def test_an_earlier_set_comes_back_whole(self, store: PipelineStore) -> None:
        first = store.publish_set({"a": FRAME, "b": OTHER}, "pair").sha256
        store.publish_set({"a": OTHER}, "pair")
        found = store.download_set("pair", version=first)
        assert list(found) == ["a", "b"]
        assert_frame_equal(found["a"], FRAME)

    def test_a_damaged_member_is_found(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        store.publish_set({"a": FRAME}, "pair")
        (key,) = (key for key in objects() if "/members/" in key)
        overwrite(key, objects()[key] + b" ")
        with pytest.raises(ArtifactCorruptError, match="'pair'"):
            store.download_set("pair")

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

    # Several at once

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
