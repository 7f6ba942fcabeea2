"""What retention removes and compacts, on every backend."""

import json
import threading
from collections.abc import Callable

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from orch_assets.errors import ArtifactCorruptError
from orch_assets.stores import ArtifactKind, PipelineStore, derived_from
from orch_assets.stores.formats.checked_json import digest
from orch_assets.study import study_context
from orch_assets_tests.contracts.store_fixtures import (
    FRAME,
    NEW_STORE,
    OTHER,
    Objects,
    OpenStore,
    Overwrite,
    StoreFixtures,
)


def manifests(objects: Objects) -> list[str]:
    return [key for key in objects() if "/manifests/" in key]


class Together:
    """Threads that work on a store at once.

    Attributes:
        errors: of any of them.
    """

    def __init__(self, store: PipelineStore) -> None:
        self.errors: list[BaseException] = []
        self._store = store
        self._done = threading.Event()

    def run(self, writers: int, publications: int) -> None:
        """Publish the current version, while two threads retain and one reads."""
        threads = [self._thread(self._publish, each, publications) for each in range(writers)]
        others = [self._thread(work) for work in (self._retain, self._retain, self._read)]
        for thread in threads:
            thread.join()
        self._done.set()
        for thread in others:
            thread.join()

    def _publish(self, writer: int, publications: int) -> None:
        for number in range(publications):
            with study_context(f"S-{writer}-{number}"):
                self._store.upload(FRAME, "x")

    def _retain(self) -> None:
        while not self._done.is_set():
            self._store.retain(keep_last=1)

    def _read(self) -> None:
        seen = 0
        while not self._done.is_set():
            assert_frame_equal(self._store.download("x"), FRAME)
            (version,) = self._store.versions("x")
            assert len(version.publications) >= seen
            seen = len(version.publications)

    def _thread(self, work: Callable[..., None], *args: int) -> threading.Thread:
        def noting() -> None:
            try:
                work(*args)
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                self.errors.append(error)

        thread = threading.Thread(target=noting)
        thread.start()
        return thread


class RetentionContract(StoreFixtures):
    """Old versions, and manifests of repeated publications."""

    # Versions

    def test_the_last_versions_are_kept(self, store: PipelineStore) -> None:
        for size in range(1, 6):
            store.upload(pd.DataFrame({"n": range(size)}), "x")
        store.restore("x", store.versions("x")[0].content.sha256)
        assert len(store.retain(keep_last=2)) == 3
        assert [each.content.rows for each in store.versions("x")] == [5, 1]
        assert len(store.download("x")) == 1
        assert store.verify() == []

    def test_to_keep_more_versions_than_there_are_keeps_all(self, store: PipelineStore) -> None:
        for size in range(1, 4):
            store.upload(pd.DataFrame({"n": range(size)}), "x")
        for many in (3, 4, 5, 100):
            assert store.retain(keep_last=many) == []
        assert len(store.versions("x")) == 3

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
        """Inputs of inputs stay, too."""
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

    # Manifests

    def test_30_publications_of_what_never_changed_are_two_manifests(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        """The first one stays, and one object records who published the others, and when."""
        for number in range(30):
            with study_context(f"S-{number}", provenance={"run": f"r-{number}"}):
                store.upload(FRAME, "x")
        before, first = store.versions("x"), min(manifests(objects))
        assert len(manifests(objects)) == 30
        assert store.retain(keep_last=1) == []
        assert len(manifests(objects)) == 2
        assert first in manifests(objects)
        assert store.versions("x") == before == [store.manifest("x")]
        assert [each.study for each in before[0].publications] == [f"S-{n}" for n in range(30)]
        assert_frame_equal(store.download("x"), FRAME)
        assert store.verify() == []
        after = objects()
        assert store.retain(keep_last=1) == []
        assert objects() == after

    def test_what_came_back_is_a_period_of_its_own(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        """A, B and A again, four publications each: three first entries, three of the others."""
        for frame in (FRAME, OTHER, FRAME):
            for _ in range(4):
                store.upload(frame, "x")
        before, entries = store.versions("x"), sorted(manifests(objects), key=_instant)
        assert store.retain(keep_last=2) == []
        kept = sorted(manifests(objects), key=_instant)
        assert len(kept) == 6
        assert set(kept) & set(entries) == {entries[0], entries[4], entries[8]}
        assert store.versions("x") == before

    def test_two_publications_are_left_as_they_are(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        for frame in (FRAME, FRAME, OTHER):
            store.upload(frame, "x")
        before = objects()
        store.retain(keep_last=9)
        assert objects() == before

    @settings(
        max_examples=6,
        deadline=None,
        # One property for several backends, each with its own location.
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
        ],
    )
    @given(
        st.lists(st.sampled_from(["a", "a", "b", "c", "retain", "retain", "oldest"]), max_size=10)
    )
    def test_versions_answers_the_same_before_and_after(
        self, open_store: OpenStore, steps: list[str]
    ) -> None:
        """Except for removed versions; and a manifest lists what was published."""
        store = open_store(prefix=f"of/{next(NEW_STORE)}")
        values, published = {"a": 1, "b": 2, "c": 3}, []
        for number, step in enumerate(steps):
            before = store.versions("x", kind=ArtifactKind.JSON)
            if step in values:
                with study_context(f"S-{number}"):
                    sha256 = store.publish_json(values[step], "x").sha256
                published.append((sha256, f"S-{number}"))
                continue
            store.retain(keep_last=1 if step == "oldest" else 9)
            after = store.versions("x", kind=ArtifactKind.JSON)
            stay = {version.content.sha256 for version in after}
            assert after == [each for each in before if each.content.sha256 in stay]
            assert stay == {each.content.sha256 for each in before[-1 if step == "oldest" else 0 :]}
            published = [each for each in published if each[0] in stay]
            assert published == [
                (version, study)
                for _, version, study in sorted(
                    (each.published_at, version.content.sha256, each.study)
                    for version in after
                    for each in version.publications
                )
            ]
            assert store.verify() == []

    def test_inputs_of_publications_that_were_put_together_are_kept(
        self, store: PipelineStore
    ) -> None:
        """The result never changed, but its inputs did."""
        sources = []
        for size in range(1, 5):
            source = store.publish(pd.DataFrame({"n": range(size)}), "source")
            with derived_from({source.uri: source.sha256}):
                store.upload(OTHER, "result")
            sources.append(source.sha256)
        for _ in range(2):
            assert store.retain(keep_last=1) == []
        assert [each.content.sha256 for each in store.versions("source")] == sources
        (version,) = store.versions("result")
        assert [[*each.inputs.values()] for each in version.publications] == [[s] for s in sources]
        assert store.verify() == []

    def test_sets_and_values_are_put_together_too(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        for _ in range(5):
            store.upload_set({"AE": FRAME}, "x")
            store.publish_json(1, "x")
        store.retain(keep_last=1)
        assert len(manifests(objects)) == 4
        assert list(store.download_set("x")) == ["AE"]
        assert store.download_json("x") == 1
        assert len(store.manifest("x", kind=ArtifactKind.SET).publications) == 5

    def test_an_interruption_loses_and_doubles_nothing(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        """Any of the entries may exist beside the compacted object."""
        for _ in range(4):
            store.upload(FRAME, "x")
        whole, before = objects(), store.versions("x")
        store.retain(keep_last=1)
        compacted = objects()
        gone = sorted(set(whole) - set(compacted))
        assert len(gone) == 3
        for left in (gone, gone[:1], gone[1:]):
            for key in left:
                overwrite(key, whole[key])
            assert store.versions("x") == before
            assert store.manifest("x") == before[0]
            assert store.verify() == []
            store.retain(keep_last=1)
            assert objects() == compacted

    def test_what_was_put_together_grows(self, store: PipelineStore, objects: Objects) -> None:
        for round_ in range(1, 4):
            for _ in range(3):
                store.upload(FRAME, "x")
            store.retain(keep_last=1)
            assert len(manifests(objects)) == 2
            assert len(store.manifest("x").publications) == 3 * round_

    def test_a_damaged_object_of_several_is_found_and_nothing_is_removed(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        for _ in range(4):
            store.upload(FRAME, "x")
        store.retain(keep_last=1)
        (key,) = (key for key in manifests(objects) if key.endswith("-compacted"))
        whole = objects()[key]
        value = json.loads(whole)
        for damaged in (whole[:-1], json.dumps({**value, "entries": []}).encode()):
            overwrite(key, damaged)
            assert [fault.uri[-len(key) :] for fault in store.verify()] == [key]
            before = objects()
            with pytest.raises(ArtifactCorruptError, match="'x'"):
                store.retain(keep_last=1)
            assert objects() == before
        assert_frame_equal(store.download("x"), FRAME)

    def test_what_a_later_release_tells_is_not_put_together(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        """Compacting it would lose the fields that this release doesn't know."""
        for _ in range(4):
            store.upload(FRAME, "x")
        for key in manifests(objects):
            value = json.loads(objects()[key])
            del value["checksum"]
            value["publications"][0]["of_a_later_release"] = "0"
            overwrite(key, json.dumps({**value, "checksum": digest(value)}).encode())
        before = objects()
        store.retain(keep_last=1)
        assert objects() == before

    def test_publications_meanwhile_are_all_told(self, store: PipelineStore) -> None:
        """Writers of the current version, readers and two retentions run at the same time."""
        store.upload(FRAME, "x")
        together = Together(store)
        together.run(writers=3, publications=4)
        assert together.errors == []
        (version,) = store.versions("x")
        studies = [each.study for each in version.publications]
        expected = {f"S-{writer}-{number}" for writer in range(3) for number in range(4)}
        assert sorted(filter(None, studies)) == sorted(expected)
        assert len(studies) == 13
        assert store.verify() == []


def _instant(key: str) -> str:
    return key.rpartition("/")[2]
