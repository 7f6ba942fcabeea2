"""Publications are ordered as they were made, whatever the clocks say."""

from collections.abc import Callable
from datetime import datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from orch_assets.stores import ArtifactKind, PipelineStore
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

JSON = ArtifactKind.JSON


class Clock:
    """The clock by which a store publishes.

    Attributes:
        ahead: of the right time; it may be behind.
        shows: this time, if it has stopped.
    """

    def __init__(self) -> None:
        self.ahead = timedelta()
        self.shows: datetime | None = None

    def shown(self) -> type[datetime]:
        """Return the substitute for ``datetime`` that reads this clock."""

        class Shown(datetime):
            @classmethod
            def now(cls, tz=None):
                return self.shows or datetime.now(tz) + self.ahead

        return Shown


def run_machine(
    machine: Callable[[PipelineStore], RuleBasedStateMachine],
    open_store: OpenStore,
    *,
    examples: int,
    steps: int,
) -> None:
    """Run a state machine several times, each with a new store."""
    run_state_machine_as_test(
        lambda: machine(open_store(prefix=f"of/{next(NEW_STORE)}")),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


class Publications(RuleBasedStateMachine):
    """An artifact published under clocks that jump, with a model of what is expected."""

    def __init__(self, store: PipelineStore, clock: Clock) -> None:
        super().__init__()
        self.store, self.clock = store, clock
        clock.ahead = timedelta()
        self.published: list[tuple[str, str]] = []  # version and study, as they were made
        self.current: str | None = None

    @rule(seconds=st.sampled_from([-86_400, -60, -1, 0, 1, 300, 86_400]))
    def jump(self, seconds: int) -> None:
        self.clock.ahead = timedelta(seconds=seconds)

    @rule(value=st.integers(1, 3))
    def publish(self, value: int) -> None:
        with study_context(study := f"S-{len(self.published)}"):
            self.current = self.store.publish_json(value, "x").sha256
        self.published.append((self.current, study))

    @rule(which=st.integers(0, 2))
    def restore(self, which: int) -> None:
        if self.published:
            sha256 = self.published[which % len(self.published)][0]
            with study_context(study := f"S-{len(self.published)}"):
                self.current = self.store.restore("x", sha256, kind=JSON).sha256
            self.published.append((self.current, study))

    @rule()
    def delete(self) -> None:
        self.store.delete("x", kind=JSON)
        self.current = None

    @rule(keep_last=st.integers(0, 3))
    def retain(self, keep_last: int) -> None:
        versions = self.versions()
        stay = {*versions[max(0, len(versions) - keep_last) :], self.current}
        removed = self.store.retain(keep_last=keep_last)
        assert len(removed) == len(set(versions) - stay)
        self.published = [each for each in self.published if each[0] in stay]

    def versions(self) -> list[str]:
        """Return the versions in order of their last publication."""
        return list(dict.fromkeys(sha256 for sha256, _ in reversed(self.published)))[::-1]

    @invariant()
    def all_agree(self) -> None:
        found = self.store.versions("x", kind=JSON)
        assert [each.content.sha256 for each in found] == self.versions()
        for version in found:
            studies = [
                study for sha256, study in self.published if sha256 == version.content.sha256
            ]
            assert [each.study for each in version.publications] == studies
        if self.current is not None:
            assert self.store.manifest("x", kind=JSON) == found[-1]

    def teardown(self) -> None:
        assert self.store.verify() == []


class OrderContract(StoreFixtures):
    """Clocks that were set back, and machines with different clocks."""

    def test_after_the_clock_stepped_back_the_newest_is_what_was_published_last(
        self, store: PipelineStore, clock: Clock
    ) -> None:
        """Versions, manifest and retention agree."""
        clock.ahead = timedelta(hours=1)
        store.upload(FRAME, "x")
        clock.ahead = timedelta()
        newest = store.publish(OTHER, "x").sha256
        assert [each.content.rows for each in store.versions("x")] == [3, 1]
        assert store.versions("x")[-1] == store.manifest("x")
        assert len(store.retain(keep_last=1)) == 1
        assert [each.content.sha256 for each in store.versions("x")] == [newest]
        assert len(store.download("x")) == 1

    def test_two_machines_whose_clocks_differ_take_turns(
        self, store: PipelineStore, clock: Clock
    ) -> None:
        for number in range(6):
            clock.ahead = timedelta(minutes=5 * (number % 2))
            with study_context(f"S-{number}"):
                store.upload((FRAME, OTHER)[number // 3], "x")
        assert [
            [each.study for each in version.publications] for version in store.versions("x")
        ] == [["S-0", "S-1", "S-2"], ["S-3", "S-4", "S-5"]]

    def test_a_manifest_tells_the_time_that_the_clock_showed(
        self, store: PipelineStore, clock: Clock
    ) -> None:
        clock.ahead = timedelta(days=1)
        store.upload(FRAME, "x")
        clock.ahead = timedelta()
        store.upload(FRAME, "x")
        first, second = store.manifest("x").publications
        assert second.published_at < first.published_at

    def test_what_was_published_lately_is_young_whatever_a_clock_said_since(
        self, store: PipelineStore, clock: Clock
    ) -> None:
        store.upload(FRAME, "x")
        clock.ahead = timedelta(days=-30)
        store.upload(FRAME, "x")
        store.upload(OTHER, "x")
        assert store.retain(keep_days=1) == []
        assert len(store.versions("x")) == 2

    def test_what_was_published_after_one_that_never_became_current_is_newer(
        self, store: PipelineStore, clock: Clock, objects: Objects, overwrite: Overwrite
    ) -> None:
        """A publisher whose clock was ahead was killed between its manifest and its commit."""
        old = store.publish(FRAME, "x").sha256
        (key,) = (key for key in objects() if "/.orch/" not in key)
        whole = objects()[key]
        clock.ahead = timedelta(minutes=5)
        store.upload(OTHER, "x")
        overwrite(key, whole)
        clock.ahead = timedelta()
        store.upload(FRAME, "x")
        assert len(store.download("x")) == 3
        assert store.versions("x")[-1] == store.manifest("x")
        store.retain(keep_last=1)
        assert [each.content.sha256 for each in store.versions("x")] == [old]
        assert store.verify() == []

    def test_versions_current_retention_and_verification_agree_whatever_the_clock_does(
        self, open_store: OpenStore, clock: Clock
    ) -> None:
        run_machine(lambda store: Publications(store, clock), open_store, examples=5, steps=10)
