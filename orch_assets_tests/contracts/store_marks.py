"""Marks: versions that are kept, and read by a name that never moves, on every backend."""

import json
import threading
from datetime import datetime

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from orch_assets.errors import ArtifactCorruptError, ArtifactNotFoundError, MarkError
from orch_assets.stores import PipelineStore, derived_from
from orch_assets.stores.formats.checked_json import to_checked_json
from orch_assets.stores.order.marks import Mark
from orch_assets_tests.contracts.store_fixtures import (
    FRAME,
    NEW_STORE,
    OTHER,
    Objects,
    OpenStore,
    Overwrite,
    Remove,
    StoreFixtures,
)
from orch_assets_tests.contracts.store_places import Killed, dying

RECORDS = "records/ONC-301"


def marked(store: PipelineStore, name: str = "interim", table: str = RECORDS) -> str:
    """Publish a table, mark it, and publish another one; return the marked version."""
    version = store.publish(FRAME, table).sha256
    store.mark(name, {table: version}, study="ONC-301", run="r1")
    store.publish(OTHER, table)
    return version


def mark_objects(objects: Objects) -> list[str]:
    return [key for key in objects() if "/_marks/" in key]


class MarksContract(StoreFixtures):
    def test_every_reader_reads_a_marked_version(self, store: PipelineStore) -> None:
        versions = {
            RECORDS: store.publish(FRAME, RECORDS).sha256,
            "forms/ONC-301": store.publish_set({"AE": FRAME}, "forms/ONC-301").sha256,
            "summary/ONC-301": store.publish_json({"n": 1}, "summary/ONC-301").sha256,
        }
        store.mark("interim analysis 1", versions, study="ONC-301")
        store.upload(OTHER, RECORDS)
        store.upload_set({"AE": OTHER}, "forms/ONC-301")
        store.publish_json({"n": 2}, "summary/ONC-301")
        as_of = "interim analysis 1"
        assert_frame_equal(store.download(RECORDS, as_of=as_of), FRAME)
        assert store.download_table(RECORDS, as_of=as_of).num_rows == 3
        assert store.open_reader(RECORDS, as_of=as_of).read_all().num_rows == 3
        assert store.manifest(RECORDS, as_of=as_of).content.rows == 3
        assert_frame_equal(store.download_set("forms/ONC-301", as_of=as_of)["AE"], FRAME)
        assert store.download_set_tables("forms/ONC-301", as_of=as_of)["AE"].num_rows == 3
        reader = store.open_reader("forms/ONC-301", member="AE", as_of=as_of)
        assert reader.read_all().num_rows == 3
        assert store.members("forms/ONC-301", as_of=as_of)["AE"].rows == 3
        assert store.download_json("summary/ONC-301", as_of=as_of) == {"n": 1}

    def test_a_mark_says_what_it_marks_and_who_set_it(self, store: PipelineStore) -> None:
        version = marked(store)
        (mark,) = store.marks()
        assert (mark.name, mark.study, mark.run) == ("interim", "ONC-301", "r1")
        assert [(each.artifact, each.version) for each in mark.versions] == [(RECORDS, version)]
        assert mark.user
        assert datetime.fromisoformat(mark.marked_at).tzinfo
        assert Mark.from_bytes(mark.to_bytes()) == mark

    def test_marks_appear_in_no_listing(self, store: PipelineStore) -> None:
        marked(store)
        assert store.list_artifacts() == [RECORDS]

    def test_studies_have_marks_of_the_same_name(self, store: PipelineStore) -> None:
        for study, frame in (("ONC-301", FRAME), ("onc-301", OTHER), ("CARD/%", FRAME)):
            name = f"records/{study}"
            version = store.publish(frame, name).sha256
            store.mark("interim", {name: version}, study=study.replace("/", "-"))
            store.upload(frame.tail(1), name)
        assert_frame_equal(store.download("records/ONC-301", as_of="interim"), FRAME)
        assert_frame_equal(store.download("records/onc-301", as_of="interim"), OTHER)
        assert_frame_equal(store.download("records/CARD/%", as_of="interim"), FRAME)

    def test_two_studies_that_mark_different_versions_of_one_artifact_are_ambiguous(
        self, store: PipelineStore
    ) -> None:
        for study, frame in (("A", FRAME), ("B", OTHER)):
            store.mark("interim", {"shared": store.publish(frame, "shared").sha256}, study=study)
        with pytest.raises(ArtifactNotFoundError, match=r"several versions.*study A.*study B"):
            store.download("shared", as_of="interim")

    # Names

    @given(st.text(max_size=12) | st.dates().map(str) | st.datetimes().map(str))
    @example("2026-W14-1")
    @example("interim/1")
    @example("..")
    @example("INTERIM")
    @example("CON")
    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    def test_a_name_is_refused_or_can_be_set_read_and_removed(
        self, open_store: OpenStore, name: str
    ) -> None:
        """A valid name is no moment, and differs from names in other case or with other forms."""
        store = open_store(prefix=f"named/{next(NEW_STORE)}")
        version = store.publish_json(1, "x").sha256
        others = {name.swapcase(), f"{name}~", f"{name}1"} - {name}
        try:
            store.mark(name, {"x": version}, study="S")
        except MarkError:
            assert store.marks() == []
            with pytest.raises((ArtifactNotFoundError, ValueError)):
                store.download_json("x", as_of=name)
            return
        with pytest.raises(ValueError, match="Invalid isoformat"):
            datetime.fromisoformat(name)
        store.publish_json(2, "x")
        assert store.download_json("x", as_of=name) == 1
        assert [mark.name for mark in store.marks()] == [name]
        for other in others:
            with pytest.raises((ArtifactNotFoundError, ValueError)):
                store.download_json("x", as_of=other)
        store.remove_mark(name, study="S")
        assert store.marks() == []

    def test_an_unknown_mark_is_refused_with_close_names(self, store: PipelineStore) -> None:
        marked(store, "Interim-1")
        with pytest.raises(ArtifactNotFoundError, match=r"Did you mean Interim-1\?") as error:
            store.download(RECORDS, as_of="interim1")
        assert "2026-03-31T18:00:00+02:00" in str(error.value)
        with pytest.raises(ArtifactNotFoundError, match="no mark ''"):
            store.download(RECORDS, as_of="")

    def test_an_artifact_that_a_mark_does_not_hold_is_refused(self, store: PipelineStore) -> None:
        marked(store)
        store.publish(FRAME, "visits/ONC-301")
        with pytest.raises(ArtifactNotFoundError, match=r"holds no table.*run r1 of study ONC-301"):
            store.download("visits/ONC-301", as_of="interim")

    def test_an_artifact_of_another_kind_is_refused_with_the_way_to_read_it(
        self, store: PipelineStore
    ) -> None:
        marked(store)
        for as_of in ("interim", "2026-03-31T18:00Z"):
            with pytest.raises(ArtifactNotFoundError, match=r"But it is a table"):
                store.download_json(RECORDS, as_of=as_of)

    # A mark never moves

    def test_a_mark_never_moves(self, store: PipelineStore, objects: Objects) -> None:
        version = marked(store)
        before = objects()
        store.mark("interim", {RECORDS: version}, study="ONC-301", run="r1")
        other = store.manifest(RECORDS).content.sha256
        for versions, run in (({RECORDS: other}, "r1"), ({RECORDS: version}, "r2")):
            with pytest.raises(MarkError, match="run r1 of study ONC-301"):
                store.mark("interim", versions, study="ONC-301", run=run)
        assert objects() == before
        assert_frame_equal(store.download(RECORDS, as_of="interim"), FRAME)

    def test_of_marks_set_at_once_one_stays(self, store: PipelineStore) -> None:
        versions = [store.publish_json(n, "x").sha256 for n in range(4)]
        results: list[object] = []

        def mark(version: str) -> None:
            try:
                results.append(store.mark("m", {"x": version}, study="S").versions[0].version)
            except MarkError:
                results.append(None)

        threads = [threading.Thread(target=mark, args=(version,)) for version in versions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = filter(None, results)
        assert store.marks()[0].versions[0].version == winner

    def test_a_version_that_is_not_stored_is_not_marked(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        version = store.publish(FRAME, RECORDS).sha256
        before = objects()
        for versions in ({RECORDS: "0" * 64}, {"visits/ONC-301": version}):
            with pytest.raises(ArtifactNotFoundError, match="can't be marked"):
                store.mark("interim", versions, study="ONC-301")
        with pytest.raises(MarkError, match="would hold nothing"):
            store.mark("interim", {}, study="ONC-301")
        assert objects() == before

    def test_a_killed_command_leaves_no_half_of_a_mark(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        version = store.publish(FRAME, RECORDS).sha256
        with pytest.raises(Killed):
            dying(store, 0).mark("interim", {RECORDS: version}, study="ONC-301")
        assert mark_objects(objects) == []
        store.mark("interim", {RECORDS: version}, study="ONC-301")
        (key,) = mark_objects(objects)
        overwrite(key, b"")  # as on a file system without hard links
        assert store.marks() == []
        assert [each.leftover for each in store.verify()] == [True]
        store.mark("interim", {RECORDS: version}, study="ONC-301")
        assert_frame_equal(store.download(RECORDS, as_of="interim"), FRAME)

    # Retention

    def test_retention_keeps_marked_versions_and_what_they_were_made_from(
        self, store: PipelineStore
    ) -> None:
        source = store.publish(FRAME, "source")
        with derived_from({source.uri: source.sha256}):
            version = store.publish_set({"a": FRAME}, "made").sha256
        store.mark("interim", {"made": version}, study="ONC-301")
        for frame in (OTHER, FRAME.tail(1)):
            store.publish(frame, "source")
            store.publish_set({"a": frame}, "made")
        store.retain(keep_last=1)
        assert_frame_equal(store.download_set("made", as_of="interim")["a"], FRAME)
        assert_frame_equal(store.download("source", source.sha256), FRAME)
        assert len(store.versions("source")) == 2
        store.remove_mark("interim", study="ONC-301")
        assert len(store.retain(keep_last=1)) == 3
        assert store.verify() == []

    @pytest.mark.parametrize("prefix", ["", "trials", "trials/prod/records"])
    def test_stores_with_another_prefix_keep_and_read_marked_versions(
        self, store: PipelineStore, open_store: OpenStore, prefix: str
    ) -> None:
        marked(store)
        other = open_store(prefix=prefix, format=store._format)
        (name,) = other.list_artifacts()
        assert other.retain(keep_last=1) == []
        assert_frame_equal(other.download(name, as_of="interim"), FRAME)
        with pytest.raises(MarkError):
            other.delete(name, history=True)
        assert other.verify() == []

    def test_the_history_of_a_marked_artifact_is_not_deleted(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        marked(store)
        before = objects()
        with pytest.raises(MarkError, match=r"interim .run r1 of study ONC-301.*Remove these"):
            store.delete(RECORDS, history=True)
        assert objects() == before
        store.delete(RECORDS)
        assert_frame_equal(store.download(RECORDS, as_of="interim"), FRAME)
        store.remove_mark("interim", study="ONC-301")
        store.delete(RECORDS, history=True)
        assert objects() == {}

    def test_a_mark_that_is_not_there_cannot_be_removed(self, store: PipelineStore) -> None:
        marked(store)
        for name, study in (("interim", "A"), ("final", "ONC-301")):
            with pytest.raises(ArtifactNotFoundError, match="has no mark"):
                store.remove_mark(name, study=study)
        assert len(store.marks()) == 1

    # Damage

    def test_verify_reports_a_mark_whose_version_is_missing_or_damaged(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite, remove: Remove
    ) -> None:
        version = marked(store)
        (key,) = [key for key in objects() if key.endswith(f"versions/{version}")]
        (mark,) = mark_objects(objects)
        assert store.verify() == []
        for damage, problem in (
            (lambda: overwrite(key, b"?"), "which is damaged"),
            (lambda: remove(key), "which is missing"),
        ):
            damage()
            found = [each for each in store.verify() if each.uri.endswith(mark.rpartition("/")[2])]
            assert [each.problem for each in found] == [f"it marks version {version}, {problem}"]
            assert [each for each in store.verify("records") if each in found]
            assert not [each for each in store.verify("visits") if each in found]

    def test_verify_reports_a_marked_set_whose_table_is_damaged(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        version = store.publish_set({"a": FRAME}, "made").sha256
        store.mark("interim", {"made": version}, study="S")
        (member,) = [key for key in objects() if "/members/" in key]
        overwrite(member, b"?")
        assert any("it marks version" in each.problem for each in store.verify())

    def test_a_damaged_mark_is_never_read_and_keeps_everything(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        version = marked(store)
        (mark,) = mark_objects(objects)
        other = store.manifest(RECORDS).content.sha256
        overwrite(mark, objects()[mark].replace(version.encode(), other.encode()))
        for use in (
            lambda: store.download(RECORDS, as_of="interim"),
            store.marks,
            lambda: store.retain(keep_last=1),
        ):
            with pytest.raises(ArtifactCorruptError, match="Remove that object"):
                use()
        assert [each.problem for each in store.verify()] == ["this mark can't be read"]
        assert len(store.versions(RECORDS)) == 2

    def test_a_mark_of_a_later_release_can_be_read(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        marked(store)
        (key,) = mark_objects(objects)
        value = {**json.loads(objects()[key])["mark"], "later": 1}
        overwrite(key, to_checked_json("mark", value))
        assert_frame_equal(store.download(RECORDS, as_of="interim"), FRAME)
