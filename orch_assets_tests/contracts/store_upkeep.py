"""What an upkeep removes, and what it never does, on every backend."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from orch_assets.errors import ArtifactNotFoundError, ArtifactReplacedError
from orch_assets.stores import ArtifactKind, PipelineStore, derived_from
from orch_assets.stores.maintenance.upkeep_terms import Cutoffs, Freed, Neighbour
from orch_assets.study import study_context
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

RUN = "0b3c8f5e-1111-4222-8333-444455556666"
OTHER_RUN = "0b3c8f5e-1111-4222-8333-444455557777"
JSON = ArtifactKind.JSON


def everything_is_old(*, versions: bool = False) -> Cutoffs:
    """Return the cutoffs by which all that is stored is old."""
    later = datetime.now(UTC) + timedelta(hours=1)
    return Cutoffs(
        manifests=later, versions=later if versions else None, reports=later, leftovers=later
    )


def all_young(*, leftovers: bool = True) -> Cutoffs:
    """Return the cutoffs by which nothing is old, or only what has no publication."""
    earlier = datetime.now(UTC) - timedelta(hours=1)
    of_leftovers = earlier if leftovers else earlier + timedelta(hours=2)
    return Cutoffs(manifests=earlier, versions=earlier, reports=earlier, leftovers=of_leftovers)


def manifests(objects: Objects) -> list[str]:
    return sorted(key for key in objects() if "/manifests/" in key)


class UpkeepContract(StoreFixtures):
    """The folder for temporary files is a test's own: by these cutoffs all in it is old."""

    def test_of_a_version_the_first_and_the_last_manifest_stay(
        self, temporary: Path, store: PipelineStore, objects: Objects
    ) -> None:
        """A, B and A again, five times each: six manifests, and nothing else changes."""
        for frame in (FRAME, OTHER, FRAME):
            for number in range(5):
                with study_context(f"S-{number}"):
                    store.upload(frame, "x")
        before = objects()
        (freed,) = store.upkeep().run(everything_is_old())
        after = objects()
        gone = {key: data for key, data in before.items() if key not in after}
        assert freed == Freed("manifests", 9, sum(map(len, gone.values())))
        assert {**after, **gone} == before
        first, last = store.versions("x")
        assert [each.study for each in first.publications] == ["S-0", "S-4"]
        assert [each.study for each in last.publications] == ["S-0", "S-4"] * 2
        assert_frame_equal(store.download("x"), FRAME)
        assert store.verify() == []
        assert store.upkeep().run(everything_is_old()) == []
        assert objects() == after

    def test_what_is_young_stays(
        self, temporary: Path, store: PipelineStore, objects: Objects
    ) -> None:
        for frame in (FRAME, FRAME, FRAME, OTHER):
            store.upload(frame, "x")
        before = objects()
        assert store.upkeep().run(all_young()) == []
        assert objects() == before

    def test_a_dry_run_says_the_same_and_writes_nothing(
        self, temporary: Path, store: PipelineStore, objects: Objects
    ) -> None:
        for size in (1, 2, 3, 3, 3):
            store.publish_set({"a": pd.DataFrame({"n": range(size)})}, "x")
        before = objects()
        planned = store.upkeep().run(everything_is_old(versions=True), dry_run=True)
        assert objects() == before
        assert store.upkeep().run(everything_is_old(versions=True)) == planned
        assert sum(each.count for each in planned) == len(before) - len(objects())
        assert [each.kind for each in planned] == ["manifests", "versions"]
        assert store.verify() == []

    def test_without_a_rule_for_versions_none_is_removed(
        self, temporary: Path, store: PipelineStore
    ) -> None:
        for frame in (FRAME, OTHER):
            store.upload(frame, "x")
            store.publish_set({"a": frame}, "y")
        assert store.upkeep().run(everything_is_old()) == []
        assert len(store.versions("x")) == 2

    def test_a_marked_version_keeps_its_manifests_up_to_the_mark(
        self, temporary: Path, store: PipelineStore
    ) -> None:
        for study in ("1", "2", "3"):
            with study_context(study):
                version = store.publish(FRAME, "x").sha256
        store.mark("interim", {"x": version}, study="ONC-301")
        for study in ("4", "5"):
            with study_context(study):
                store.publish(FRAME, "x")
        store.publish(OTHER, "x")
        (freed,) = store.upkeep().run(everything_is_old(versions=True))
        assert (freed.kind, freed.count) == ("manifests", 1)
        marked = store.manifest("x", as_of="interim")
        assert [each.study for each in marked.publications] == ["1", "2", "3", "5"]
        assert_frame_equal(store.download("x", as_of="interim"), FRAME)

    def test_places_of_removed_versions_go_and_moments_are_told_as_before(
        self, temporary: Path, store: PipelineStore, objects: Objects
    ) -> None:
        """The third of ten versions is marked: its place stays, the next one, and both ends."""
        published = []
        for number in range(10):
            published.append(store.publish_json(number, "x").sha256)
            if number == 2:
                store.mark("interim", {"x": published[-1]}, study="ONC-301")
        moments = [each.publications[0].published_at for each in store.versions("x", kind=JSON)]
        store.upkeep().run(everything_is_old(versions=True))
        places = sorted(int(key[-9:]) for key in objects() if "/places/" in key)
        assert places == [1, 3, 4, 10]
        assert store.verify() == []
        for number, moment in enumerate(moments):
            if number in {2, 9}:
                assert store.download_json("x", as_of=moment) == number
                continue
            with pytest.raises(ArtifactNotFoundError, match="removed"):
                store.download_json("x", as_of=moment)
        with pytest.raises(ArtifactNotFoundError, match="nothing had been published"):
            store.download_json("x", as_of="2020-01-01T00:00:00Z")
        store.publish_json(10, "x")
        assert [each.publications[-1].number for each in store.versions("x", kind=JSON)] == [
            3,
            10,
            11,
        ]

    def test_what_killed_publications_left_behind_goes_when_it_is_old(
        self, temporary: Path, store: PipelineStore, objects: Objects, remove: Remove
    ) -> None:
        """A version without a manifest, and a member of no set."""
        store.publish_set({"a": FRAME}, "x")
        store.upload(FRAME, "y")
        kept = objects()
        store.publish_set({"a": OTHER}, "x")
        store.upload(OTHER, "y")
        store.publish_set({"a": FRAME}, "x")
        store.upload(FRAME, "y")
        new = {key for key in objects() if key not in kept}
        for key in new:
            if "/versions/" in key and "/x/" in key:
                lost = key.rpartition("/")[2]
        for key in new:
            is_entry_of_leftover = "/manifests/" in key and (f"/{lost}/" in key or "/y/" in key)
            if is_entry_of_leftover and "-0000000" in key.rpartition("/")[2]:
                remove(key)
        leftovers = [each.uri for each in store.verify() if each.leftover]
        young = store.upkeep().run(all_young())
        assert young == []
        store.upkeep().run(all_young(leftovers=False))
        assert leftovers
        assert [each for each in store.verify() if each.leftover] == []
        assert_frame_equal(store.download("y"), FRAME)
        assert list(store.download_set("x")) == ["a"]

    def test_what_never_took_effect_goes_whatever_its_age(
        self, temporary: Path, store: PipelineStore, objects: Objects, tmp_path: Path
    ) -> None:
        """Of the chosen artifacts: versions, tables of sets, and files."""
        file = tmp_path / "x.txt"
        file.write_text("1")
        store.upload(FRAME, "table")
        store.publish_set({"a": FRAME}, "set")
        published = objects()
        refused = {"replaces": "0" * 64}
        file.write_text("2")
        for publish in (
            lambda: store.publish(OTHER, "table", **refused),
            lambda: store.publish_set({"a": FRAME, "b": OTHER}, "set", **refused),
            lambda: store.publish_files({"x.txt": file}, "files", "txt", **refused),
            lambda: store.publish_json(2, "other", **refused),
        ):
            with pytest.raises(ArtifactReplacedError):
                publish()
        before = objects()
        expected = {"files": 2, "set": 2, "table": 1}
        planned = store.upkeep().remove_leftovers(expected.__contains__, dry_run=True)
        assert (planned, objects()) == (expected, before)
        busy = store.upkeep(Neighbour(is_busy=lambda: True))
        assert (busy.remove_leftovers(expected.__contains__), objects()) == ({}, before)
        assert busy.problems == ["What publications left behind stays, because runs are under way."]
        assert store.upkeep().remove_leftovers(expected.__contains__) == expected
        other = {key for key in before if "/other/" in key}
        assert (set(objects()), len(other)) == ({*published, *other}, 1)
        assert store.upkeep().remove_leftovers(lambda _name: True) == {"other": 1}
        assert set(objects()) == set(published)
        assert store.verify() == []

    def test_while_runs_are_under_way_no_data_is_removed(
        self, temporary: Path, store: PipelineStore
    ) -> None:
        for frame in (FRAME, OTHER):
            store.upload(frame, "x")
        busy = store.upkeep(Neighbour(is_busy=lambda: True))
        assert busy.run(everything_is_old(versions=True)) == []
        (problem,) = busy.problems
        assert problem.startswith("Some versions, reports and leftovers stay, because runs are")
        assert len(store.versions("x")) == 2

    def test_the_store_inside_is_left_alone(self, temporary: Path, open_store: OpenStore) -> None:
        """But what its manifests list as inputs stays."""
        outer, inner = open_store(prefix="o"), open_store(prefix="o/restricted")
        source = outer.publish(FRAME, "x")
        outer.publish(OTHER, "x")
        with derived_from({source.uri: source.sha256}):
            inner.publish(FRAME, "y")
        inner.publish(OTHER, "y")
        neighbour = Neighbour(inside=inner.address)
        assert outer.upkeep(neighbour).run(everything_is_old(versions=True)) == []
        # Another store that isn't inside says itself what its inputs are.
        apart = open_store(prefix="apart")
        older = apart.publish(FRAME, "x")
        apart.publish(OTHER, "x")
        listed = Neighbour(inputs=lambda: [(older.uri, older.sha256)])
        assert apart.upkeep(listed).run(everything_is_old(versions=True)) == []
        assert len(apart.upkeep().run(everything_is_old(versions=True))) == 1

    def test_old_failure_reports_go_whole(
        self, temporary: Path, store: PipelineStore, objects: Objects
    ) -> None:
        """But those of runs that stay, and artifacts that only have such a name."""
        for name in (f"failures/{RUN}/labs/ONC-301", "failures/ONC-301"):
            store.publish_json({"n": 1}, name)
        before = objects()
        store.publish_json({"n": 1}, f"failures/{OTHER_RUN}/labs/onc-301")
        (freed,) = store.upkeep(Neighbour(runs=lambda: {RUN})).run(everything_is_old())
        assert (freed.kind, freed.count) == ("failure reports", 4)
        assert objects() == before
        assert store.upkeep(Neighbour(runs=lambda: {RUN})).run(everything_is_old()) == []

    def test_a_manifest_that_cant_be_read_keeps_all_versions(
        self, temporary: Path, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        for frame in (FRAME, OTHER, OTHER, OTHER):
            store.upload(frame, "x")
        overwrite(manifests(objects)[0], b"{}")
        upkeep = store.upkeep()
        (freed,) = upkeep.run(everything_is_old(versions=True))
        assert (freed.kind, freed.count) == ("manifests", 1)
        (problem,) = upkeep.problems
        assert problem.startswith("No version was removed.")

    def test_publications_meanwhile_fail_in_nothing(
        self, temporary: Path, store: PipelineStore
    ) -> None:
        """Every manifest is old, but no file that is being written."""
        done, errors = threading.Event(), []
        cutoffs = replace(everything_is_old(), leftovers=all_young().leftovers)

        def keep_up() -> None:
            try:
                while not done.is_set():
                    store.upkeep().run(cutoffs)
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                errors.append(error)

        thread = threading.Thread(target=keep_up)
        thread.start()
        try:
            for _ in range(6):
                store.upload(FRAME, "x")
                assert_frame_equal(store.download("x"), FRAME)
        finally:
            done.set()
            thread.join()
        assert errors == []
        assert store.verify() == []

    @settings(
        max_examples=4,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
        ],
    )
    @given(st.lists(st.sampled_from(["a", "b", "c", "derive", "mark", "upkeep"]), max_size=12))
    def test_never_what_is_current_marked_or_an_input(
        self, temporary: Path, open_store: OpenStore, steps: list[str]
    ) -> None:
        store = open_store(prefix=f"of/{next(NEW_STORE)}")
        marked: dict[str, str] = {}
        for number, step in enumerate([*steps, "upkeep"]):
            current = store.versions("x", kind=JSON)[-1:] if store.list_artifacts() else []
            if step in "abc":
                store.publish_json(step, "x")
            elif step == "derive" and current:
                uri = store.uri("x", kind=JSON)
                with derived_from({uri: current[0].content.sha256}):
                    store.publish_json(number % 3, "y")
            elif step == "mark" and current:
                marked[f"mark {number}"] = current[0].content.sha256
                held = store.mark(f"mark {number}", {"x": current[0].content.sha256}, study="x")
                assert held
            elif step == "upkeep":
                before = _current(store)
                store.upkeep().run(everything_is_old(versions=True))
                assert _current(store) == before
                stored = {each.content.sha256 for each in store.versions("x", kind=JSON)}
                assert set(marked.values()) <= stored
                for version in store.versions("y", kind=JSON):
                    for publication in version.publications:
                        assert set(publication.inputs.values()) <= stored
                assert store.verify() == []


def _current(store: PipelineStore) -> dict[str, object]:
    return {name: store.download_json(name) for name in store.list_artifacts()}
