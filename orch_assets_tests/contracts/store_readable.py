"""What a store must do with the copies of members that other tools read, and with files."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal

from orch_assets.errors import ArtifactNameError, ArtifactNotFoundError, ArtifactReplacedError
from orch_assets.stores import ArtifactKind, PipelineStore
from orch_assets.stores.object_keys import ArtifactKeys
from orch_assets_tests.contracts.store_fixtures import (
    FRAME,
    OTHER,
    Objects,
    OpenStore,
    Overwrite,
    Remove,
    StoreFixtures,
)

SET = "forms/ONC-301"


def copies(objects: Objects) -> dict[str, bytes]:
    """Return the copies of members by their names below the folder ``forms``."""
    start = "trials/prod/forms/"
    return {
        key.removeprefix(start): data
        for key, data in objects().items()
        if key.startswith(start) and "/.orch/" not in key and not key.endswith((".set", ".files"))
    }


def members(objects: Objects) -> set[bytes]:
    return {data for key, data in objects().items() if "/members/" in key}


def note(objects: Objects) -> list[str]:
    """Return the names of the hidden objects that say which copies are complete."""
    return [key.rpartition("/")[2] for key in objects() if "/readable/" in key]


class ReadableContract(StoreFixtures):
    """A part of the contract of all stores."""

    def test_members_lie_beside_the_set(self, store: PipelineStore, objects: Objects) -> None:
        published = store.publish_set({"AE": FRAME, "dm": OTHER}, SET)
        end = store.table_format
        found = copies(objects)
        assert sorted(found) == [f"ONC-301/AE.{end}", f"ONC-301/dm~~3.{end}"]
        assert {*found.values()} == members(objects)
        for member in ("AE", "dm"):
            publication = store.publication_of(SET, member)
            assert publication
            assert (publication.kind, publication.number) == ("set", 1)
            assert publication.version == published.sha256

    def test_a_next_set_replaces_all_copies(self, store: PipelineStore, objects: Objects) -> None:
        store.publish_set({"AE": FRAME, "DM": OTHER, "VS": OTHER}, SET)
        second = store.publish_set({"AE": OTHER, "DM": OTHER}, SET)
        end = store.table_format
        assert sorted(copies(objects)) == [f"ONC-301/AE.{end}", f"ONC-301/DM.{end}"]
        found = {store.publication_of(SET, each) for each in ("AE", "DM")}
        assert {(each.number, each.version) for each in found if each} == {(2, second.sha256)}
        assert store.publication_of(SET, "VS") is None
        assert note(objects) == [f"{2:09}-{second.sha256}"]
        assert store.verify() == []

    def test_a_table_may_change_the_case_of_its_name(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        store.publish_set({"AE": FRAME, "DM": OTHER}, SET)
        store.publish_set({"ae": FRAME, "DM": OTHER}, SET)
        end = store.table_format
        assert sorted(copies(objects)) == [f"ONC-301/DM.{end}", f"ONC-301/ae~~3.{end}"]
        assert store.verify() == []

    def test_copies_are_no_artifacts(self, store: PipelineStore) -> None:
        store.publish_set({"AE": FRAME, "1": OTHER, "R-1": OTHER}, SET)
        store.upload(FRAME, "forms/ONC-301/summary")
        assert store.list_artifacts() == [SET, "forms/ONC-301/summary"]
        assert store.list_artifacts(SET) == ["forms/ONC-301/summary"]
        for name in ("AE", "ae", "1", "R-1"):
            assert store.kinds(f"{SET}/{name}") == []
        assert store.verify() == []
        assert store.retain(keep_last=1) == []

    @pytest.mark.parametrize("member", ["AE", "ae", "1", "R-1"])
    def test_a_table_of_the_same_name_is_refused(
        self, store: PipelineStore, objects: Objects, member: str
    ) -> None:
        store.publish_set({member: FRAME}, SET)
        before = objects()
        with pytest.raises(ArtifactNameError, match="a table of the set 'forms/ONC-301'"):
            store.upload(OTHER, f"{SET}/{member}")
        assert {key: before[key] for key in before} == {key: objects()[key] for key in before}

    @pytest.mark.parametrize("member", ["AE", "ae", "1", "R-1"])
    def test_a_set_over_a_table_of_the_same_name_is_refused(
        self, store: PipelineStore, objects: Objects, member: str
    ) -> None:
        store.upload(OTHER, f"{SET}/{member}")
        with pytest.raises(ArtifactNameError, match="Nothing was published"):
            store.publish_set({member: FRAME}, SET)
        assert not store.exists(SET, kind=ArtifactKind.SET)
        assert store.download(f"{SET}/{member}").equals(OTHER)
        assert note(objects) == []

    def test_a_file_that_no_store_wrote_is_not_overwritten(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        key = f"trials/prod/{SET}/AE.{store.table_format}"
        overwrite(key, b"somebody's own")
        with pytest.raises(ArtifactNameError):
            store.publish_set({"AE": FRAME}, SET)
        assert objects()[key] == b"somebody's own"
        store.publish_set({"DM": FRAME}, SET)
        store.publish_set({"DM": OTHER}, SET)
        assert objects()[key] == b"somebody's own"

    def test_deleting_and_restoring(self, store: PipelineStore, objects: Objects) -> None:
        first = store.publish_set({"AE": FRAME}, SET)
        data = copies(objects)
        store.publish_set({"AE": OTHER}, SET)
        store.restore(SET, first.sha256, kind=ArtifactKind.SET)
        assert copies(objects) == data
        publication = store.publication_of(SET, "AE")
        assert publication
        assert publication.number == 3
        store.delete(SET, kind=ArtifactKind.SET)
        assert copies(objects) == {}
        assert store.verify() == []
        store.restore(SET, first.sha256, kind=ArtifactKind.SET)
        assert copies(objects) == data
        store.delete(SET, kind=ArtifactKind.SET, history=True)
        assert not [key for key in objects() if "forms" in key]

    @pytest.mark.parametrize("damage", ["missing", "changed"])
    def test_verify_finds_a_copy_and_restoring_mends_it(
        self,
        store: PipelineStore,
        objects: Objects,
        overwrite: Overwrite,
        remove: Remove,
        damage: str,
    ) -> None:
        published = store.publish_set({"AE": FRAME}, SET)
        data = copies(objects)
        key = f"trials/prod/{SET}/AE.{store.table_format}"
        remove(key) if damage == "missing" else overwrite(key, b"changed")
        (problem,) = store.verify()
        assert problem.uri.endswith(key)
        assert damage in problem.problem
        assert f"Restore version {published.sha256}" in problem.problem
        store.restore(SET, published.sha256, kind=ArtifactKind.SET)
        assert copies(objects) == data
        assert store.verify() == []

    def test_the_next_publication_completes_what_a_killed_one_has_not(
        self, store: PipelineStore, objects: Objects, remove: Remove
    ) -> None:
        """It was killed after its commit; the next one publishes the same, or nothing at all."""
        store.publish_set({"AE": FRAME, "DM": OTHER}, SET)
        whole = copies(objects)
        for mend in (
            lambda: store.publish_set({"AE": FRAME, "DM": OTHER}, SET),
            lambda: _mend(store),
        ):
            for key in [key for key in objects() if "/readable/" in key or "/AE." in key]:
                remove(key)
            assert len(store.verify()) == 2
            mend()
            assert copies(objects) == whole
            assert store.verify() == []

    def test_who_copies_late_copies_what_is_current_by_then(
        self, store: PipelineStore, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another publisher replaces the set between a commit and its copies."""
        readable = store._publisher.readable
        copy_all, sets = readable._copy_all, []

        def late(*arguments: Any) -> Any:
            if not sets:
                other = open_store(prefix="trials/prod", format=store._format)
                sets.append(other.publish_set({"AE": OTHER, "DM": OTHER}, SET))
            return copy_all(*arguments)

        monkeypatch.setattr(readable, "_copy_all", late)
        store.publish_set({"AE": FRAME, "VS": FRAME}, SET)
        found = {each: store.publication_of(SET, each) for each in ("AE", "DM", "VS")}
        assert {name: each.version for name, each in found.items() if each} == {
            "AE": sets[0].sha256,
            "DM": sets[0].sha256,
        }
        assert store.verify() == []

    def test_a_killed_publisher_that_copied_last_is_mended(
        self, store: PipelineStore, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It was suspended while another one published, then copied, and was killed."""
        readable = store._publisher.readable
        copy_all, sets = readable._copy_all, []

        def suspended(*arguments: Any) -> None:
            other = open_store(prefix="trials/prod", format=store._format)
            sets.append(other.publish_set({"AE": OTHER, "DM": OTHER}, SET))
            copy_all(*arguments)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(readable, "_copy_all", suspended)
            with pytest.raises(KeyboardInterrupt):
                store.publish_set({"AE": FRAME, "VS": FRAME}, SET)
        assert [each for each in store.verify() if not each.leftover]
        store.publish_set({"AE": OTHER, "DM": OTHER}, SET)  # the same again
        publications = [store.publication_of(SET, each) for each in ("AE", "DM", "VS")]
        versions = [each.version if each else None for each in publications]
        assert versions == [sets[0].sha256, sets[0].sha256, None]
        assert [each for each in store.verify() if not each.leftover] == []

        now = time.time() + 25 * 3600
        monkeypatch.setattr("orch_assets.stores.members.readable_files.time.time", lambda: now)
        _mend(store)
        assert store.verify() == []

    def test_a_set_of_an_earlier_release_has_no_copies(
        self, store: PipelineStore, objects: Objects, remove: Remove
    ) -> None:
        store.publish_set({"AE": FRAME}, SET)
        whole = copies(objects)
        for key in objects():
            if "/readable/" in key or "/ONC-301/AE." in key:
                remove(key)
        assert store.verify() == []
        assert store.retain(keep_last=1) == []
        store.publish_set({"AE": FRAME}, SET)
        assert copies(objects) == whole

    def test_retention_keeps_the_copies(self, store: PipelineStore, objects: Objects) -> None:
        for frame in (FRAME, OTHER):
            store.publish_set({"AE": frame}, SET)
        before = copies(objects)
        assert len(store.retain(keep_last=1)) == 2
        assert copies(objects) == before
        assert store.verify() == []

    # Members that are removed

    def test_a_set_whose_tables_are_removed_meanwhile_is_not_published(
        self, store: PipelineStore
    ) -> None:
        """Retention runs after one table, or all tables and the index, are stored."""
        store.publish_set({"AE": FRAME}, SET)
        table = pa.table({"n": [1]})

        def rows() -> Iterator[pa.RecordBatch]:
            store.retain(keep_last=1)
            yield from table.to_batches()

        def state() -> dict[str, Any]:
            store.retain(keep_last=1)
            return {}

        late = pa.RecordBatchReader.from_batches(table.schema, rows())
        for publish in (
            lambda: store.publish_set({"AE": OTHER, "DM": late}, SET),
            lambda: store.publish_set({"AE": OTHER}, SET, state=state),
        ):
            with pytest.raises(ArtifactNotFoundError, match="Nothing was published"):
                publish()
            assert_frame_equal(store.download_set(SET)["AE"], FRAME)
            assert all(problem.leftover for problem in store.verify())
        store.retain(keep_last=1)
        assert store.verify() == []

    def test_a_set_whose_table_is_removed_in_the_last_moment_is_an_error(
        self,
        store: PipelineStore,
        objects: Objects,
        remove: Remove,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Publishing it again mends it. Until then, it stops no maintenance of the others."""
        store.publish_set({"AE": FRAME, "DM": FRAME}, SET)
        readable, tables = store._publisher.readable, {"AE": OTHER, "DM": FRAME}
        begin, before = readable.begin, set(objects())

        def removed(*arguments: Any) -> Any:
            begun = begin(*arguments)
            (key,) = (key for key in {*objects()} - before if "/members/" in key)
            remove(key)
            return begun

        with monkeypatch.context() as patch:
            patch.setattr(readable, "begin", removed)
            with pytest.raises(ArtifactNotFoundError, match="Publish it again"):
                store.publish_set(tables, SET)
        end = store.table_format
        for mend in (lambda: None, lambda: store.retain(keep_last=2)):
            mend()
            assert sorted(copies(objects)) == [f"ONC-301/DM.{end}"], "none of the set before"
            problems = [each for each in store.verify() if not each.leftover]
            assert "its members are missing" in problems[0].problem
            readable.renew(ArtifactKeys.of(SET, "trials/prod", "set", "set"))
        with pytest.raises(ArtifactNotFoundError, match="Publish it again"):
            _mend(store)
        store.publish_set(tables, SET)
        assert sorted(copies(objects)) == [f"ONC-301/AE.{end}", f"ONC-301/DM.{end}"]
        assert store.verify() == []

    # Files

    def test_files_come_back(self, store: PipelineStore, tmp_path: Path) -> None:
        published = store.publish_files(
            _files(tmp_path, {"AE.xpt": b"1", "names.csv": b""}),
            SET,
            "xpt",
            state={"format": "xpt"},
            rows=7,
        )
        assert published.rows == 7
        assert {name: each.bytes for name, each in store.files(SET).items()} == {
            "AE.xpt": 1,
            "names.csv": 0,
        }
        with store.open_file(SET, "AE.xpt") as file:
            assert file.read() == b"1"
        previous = store.previous_files(SET)
        assert previous
        assert (previous.version, previous.state) == (published.sha256, {"format": "xpt"})
        assert store.manifest(SET, kind=ArtifactKind.FILES).content.rows == 7
        assert store.verify() == []

    def test_files_lie_beside_their_index(
        self, store: PipelineStore, objects: Objects, tmp_path: Path
    ) -> None:
        names = {"AE.xpt": b"1", "notes.csv": b"2", "ONC-301.xlsx": b"3", "no extension": b"4"}
        published = store.publish_files(_files(tmp_path, names), SET, "xpt")
        assert copies(objects) == {
            "ONC-301/AE.xpt": b"1",
            "ONC-301/notes~~1f.csv": b"2",
            "ONC-301/ONC-301.xlsx": b"3",
            "ONC-301/no~20extension~~7ff": b"4",
        }
        publication = store.publication_of(SET, "AE.xpt", kind=ArtifactKind.FILES)
        assert publication
        assert (publication.kind, publication.version) == ("files", published.sha256)
        assert store.list_artifacts() == [SET]

    def test_versions_of_files_are_kept(self, store: PipelineStore, tmp_path: Path) -> None:
        first = store.publish_files(_files(tmp_path, {"A.xpt": b"1"}), SET, "xpt")
        store.publish_files(_files(tmp_path, {"A.xpt": b"2"}), SET, "xpt", replaces=first.sha256)
        with store.open_file(SET, "A.xpt", first.sha256) as file:
            assert file.read() == b"1"
        with pytest.raises(ArtifactReplacedError):
            store.publish_files(
                _files(tmp_path, {"A.xpt": b"3"}), SET, "xpt", replaces=first.sha256
            )
        with store.open_file(SET, "A.xpt") as file:
            assert file.read() == b"2"
        assert [each for each in store.verify() if not each.leftover] == []
        store.retain(keep_last=1)
        assert store.verify() == []
        assert len(store.versions(SET, kind=ArtifactKind.FILES)) == 1

    def test_a_file_that_is_not_there(self, store: PipelineStore, tmp_path: Path) -> None:
        assert store.previous_files(SET) is None
        with pytest.raises(ArtifactNotFoundError):
            store.files(SET)
        store.publish_files(_files(tmp_path, {"A.xpt": b"1"}), SET, "xpt")
        with (
            pytest.raises(ArtifactNotFoundError, match="has no file 'B'"),
            store.open_file(SET, "B"),
        ):
            pass

    @pytest.mark.parametrize("name", ["", "a/b", "a\n"])
    def test_a_file_name_that_cannot_be_stored(
        self, store: PipelineStore, tmp_path: Path, objects: Objects, name: str
    ) -> None:
        with pytest.raises(ArtifactNameError, match="without slashes"):
            store.publish_files({name: tmp_path}, SET, "xpt")
        assert objects() == {}

    def test_a_set_and_files_of_one_name(
        self, store: PipelineStore, objects: Objects, tmp_path: Path
    ) -> None:
        store.publish_set({"AE": FRAME}, SET)
        store.publish_files(_files(tmp_path, {"AE.xpt": b"1"}), SET, "xpt")
        store.publish_set({"DM": FRAME}, SET)
        end = store.table_format
        assert sorted(copies(objects)) == ["ONC-301/AE.xpt", f"ONC-301/DM.{end}"]
        store.delete(SET, kind=ArtifactKind.SET)
        assert sorted(copies(objects)) == ["ONC-301/AE.xpt"]
        assert store.verify() == []


def _files(folder: Path, data: Mapping[str, bytes]) -> dict[str, Path]:
    for name, each in data.items():
        (folder / name).write_bytes(each)
    return {name: folder / name for name in data}


def _mend(store: PipelineStore) -> None:
    previous = store.previous_members(SET)
    assert previous is not None
    previous.mend_copies()
