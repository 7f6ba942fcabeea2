"""Publications have an order, and what was current at a moment can be read, on every backend."""

import contextlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pandas.testing import assert_frame_equal

from orch_assets.errors import (
    ArtifactCorruptError,
    ArtifactNotFoundError,
    ArtifactReplacedError,
)
from orch_assets.stores import ArtifactKind, PipelineStore
from orch_assets_tests.contracts.store_fixtures import (
    FRAME,
    OTHER,
    Objects,
    OpenStore,
    Overwrite,
    StoreFixtures,
)
from orch_assets_tests.contracts.store_order import Clock, run_machine

JSON = ArtifactKind.JSON
NOON = datetime(2026, 3, 31, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Killed(BaseException):
    """The publisher ends here."""


class Dying:
    """A backend whose process is killed before one of its changes.

    Args:
        backend: What holds the bytes.
        changes: How many changes are made.
    """

    def __init__(self, backend: Any, changes: int) -> None:
        self._backend = backend
        self._left = changes

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._backend, name)
        return self._counted(found) if name in ("put", "put_new", "delete") else found

    def copying(self, *args: Any, **options: Any) -> Any:
        return _Copying(self._backend.copying(*args, **options), self._counted)

    def _counted(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any) -> Any:
            if not self._left:
                raise Killed
            done = change(*args)
            self._left -= done is not False  # a refused change is none
            return done

        return counted


class _Copying:
    def __init__(self, copying: Any, counted: Callable[..., Any]) -> None:
        self._copying, self._counted = copying, counted

    def __enter__(self) -> Any:
        return self._counted(self._copying.__enter__())

    def __exit__(self, *error: object) -> Any:
        return self._copying.__exit__(*error)


def dying(store: PipelineStore, changes: int) -> PipelineStore:
    """Return a store at the same location that is killed after some changes."""
    return PipelineStore(Dying(store._backend, changes), store._prefix, store._format)


def places(store: PipelineStore, **kind: Any) -> list[tuple[int | None, int | None, str | None]]:
    """Return number, rows and replaced version of each publication, in order."""
    found = [
        (each.number, version.content.rows, each.replaces)
        for version in store.versions("x", **kind)
        for each in version.publications
    ]
    return sorted(found, key=lambda each: each[0] or 0)


class Moments(RuleBasedStateMachine):
    """An artifact over time, with a model of what was current when."""

    def __init__(self, store: PipelineStore, clock: Clock) -> None:
        super().__init__()
        self.store, self.clock = store, clock
        self.clock.shows = NOON
        # The versions that were current, each from its moment; None if it was deleted.
        self.was: list[tuple[datetime, str | None]] = []
        self.number: int | None = None
        self.queries = [NOON - HOUR]
        self.ever_removed: set[str] = set()

    @property
    def current(self) -> str | None:
        return self.was[-1][1] if self.was else None

    @rule(minutes=st.sampled_from([-90, -1, 1, 1, 60]))
    def time_passes(self, minutes: int) -> None:
        """A clock may be set back, or the next machine's may differ."""
        self.clock.shows += timedelta(minutes=minutes)

    @rule(value=st.integers(1, 4))
    def publish(self, value: int) -> None:
        self.noted(self.store.publish_json(value, "x").sha256)

    @rule(value=st.integers(1, 4), changes=st.integers(0, 3))
    def publish_and_be_killed(self, value: int, changes: int) -> None:
        with contextlib.suppress(Killed):
            self.noted(dying(self.store, changes).publish_json(value, "x").sha256)

    @rule(value=st.integers(1, 4), base=st.integers(0, 3))
    def merge(self, value: int, base: int) -> None:
        """Replace the current version, or one that was current before."""
        versions = [sha256 for _, sha256 in self.was if sha256]
        if not versions:
            return
        replaces = versions[-1 - base % len(versions)]
        if replaces == self.current:
            self.noted(self.store.publish_json(value, "x", replaces=replaces).sha256)
            return
        with pytest.raises(ArtifactReplacedError) as caught:
            self.store.publish_json(value, "x", replaces=replaces)
        assert (caught.value.replaces, caught.value.current) == (replaces, self.current)

    @rule()
    def delete(self) -> None:
        if self.current:
            self.noted(None)
        self.store.delete("x", kind=JSON)

    @rule(keep_last=st.integers(0, 3))
    def retain(self, keep_last: int) -> None:
        self.store.retain(keep_last=keep_last)
        self.ever_removed |= {sha256 for _, sha256 in self.was if sha256} - self.remaining()

    def noted(self, version: str | None) -> None:
        before, self.number = self.number, version and self.newest_number()
        if version != self.current or self.number != before:
            before = self.was[-1][0] if self.was else datetime.min.replace(tzinfo=UTC)
            moment = max(self.clock.shows, before + timedelta(microseconds=1))
            self.was.append((moment, version))
            self.queries += [moment - timedelta(microseconds=1), moment]

    def newest_number(self) -> int | None:
        return self.store.manifest("x", kind=JSON).publications[-1].number

    def remaining(self) -> set[str]:
        return {each.content.sha256 for each in self.store.versions("x", kind=JSON)}

    @invariant()
    def every_moment_has_the_version_of_then_for_ever(self) -> None:
        for moment in {*self.queries[:3], *self.queries[-5:], NOON + 1000 * HOUR}:
            then = [version for since, version in self.was if since <= moment]
            expected = then[-1] if then else None
            try:
                found = self.store.manifest("x", kind=JSON, as_of=moment).content.sha256
            except ArtifactNotFoundError:
                assert expected is None or expected in self.ever_removed
            else:
                assert found == expected

    def teardown(self) -> None:
        assert all(problem.leftover for problem in self.store.verify())


class PlacesContract(StoreFixtures):
    """Numbers, conditional publications, and moments."""

    # Numbers

    def test_each_change_takes_the_next_number_and_names_what_it_replaces(
        self, store: PipelineStore
    ) -> None:
        first = store.publish(FRAME, "x").sha256
        second = store.publish(OTHER, "x").sha256
        store.restore("x", first)
        assert places(store) == [(1, 3, None), (2, 1, first), (3, 3, second)]

    def test_publishing_the_current_version_again_takes_no_number(
        self, store: PipelineStore
    ) -> None:
        first = store.publish(FRAME, "x").sha256
        for _ in range(3):
            store.upload(FRAME, "x")
        store.upload(OTHER, "x")
        assert [number for number, _, _ in places(store)] == [1, 1, 1, 1, 2]
        assert places(store)[-1] == (2, 1, first)

    def test_what_comes_after_a_killed_publication_replaces_what_was_current(
        self, store: PipelineStore
    ) -> None:
        """The killed one wrote its manifest, and keeps its number."""
        first = store.publish(FRAME, "x").sha256
        with pytest.raises(Killed):
            dying(store, 3).upload(OTHER, "x")
        third = store.publish(FRAME[:2], "x").sha256
        assert places(store) == [(1, 3, None), (2, 1, first), (3, 2, first)]
        store.upload(FRAME[:0], "x")
        assert places(store)[-1] == (4, 0, third)

    def test_the_same_version_after_a_killed_publication_is_the_newest(
        self, store: PipelineStore
    ) -> None:
        first = store.publish(FRAME, "x").sha256
        for changes in (2, 2):
            with pytest.raises(Killed):
                dying(store, changes).upload(OTHER, "x")
        store.upload(FRAME, "x")
        assert places(store)[-1] == (4, 3, first), "after two places that were claimed"
        assert store.versions("x")[-1] == store.manifest("x")

    def test_numbers_go_on_after_a_deletion_and_after_retention(self, store: PipelineStore) -> None:
        for size in (3, 2, 1):
            store.upload(FRAME[:size], "x")
        store.delete("x")
        store.retain(keep_last=1)
        store.upload(FRAME[:2], "x")
        assert [each[:2] for each in places(store)] == [(3, 1), (5, 2)]
        assert places(store)[-1][2] is None

    def test_the_first_place_remains_so_that_no_number_is_taken_twice(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        for number in range(12):
            store.publish_json(number, "x")
        store.retain(keep_last=1)
        claimed = sorted(int(key[-9:]) for key in objects() if "/places/" in key)
        assert claimed == [1, 12]

    def test_after_a_crash_loop_the_next_number_is_still_found(self, store: PipelineStore) -> None:
        store.upload(FRAME, "x")
        for _ in range(12):
            with pytest.raises(Killed):
                dying(store, 2).upload(OTHER, "x")
        store.upload(OTHER, "x")
        assert places(store)[-1][0] == 14

    def test_publishers_at_once_never_have_the_same_number(self, store: PipelineStore) -> None:
        """And each of those that were current replaced an earlier one."""
        values = range(12)
        published = together(lambda value: store.publish_json(value, "x").sha256, values)
        found = places(store, kind=JSON)
        assert [number for number, _, _ in found] == list(range(1, 13))
        number_of = {
            version.content.sha256: version.publications[0].number
            for version in store.versions("x", kind=JSON)
        }
        assert set(number_of) == set(published)
        for version in store.versions("x", kind=JSON):
            (publication,) = version.publications
            assert publication.number > number_of.get(publication.replaces, 0)
        assert store.verify() == []

    # Conditional publications

    def test_what_was_made_from_a_version_replaces_no_other(self, store: PipelineStore) -> None:
        first = store.publish(FRAME, "x").sha256
        second = store.publish(OTHER, "x", replaces=first).sha256
        for publish in (
            lambda: store.publish(FRAME[:2], "x", replaces=first),
            lambda: store.publish_json(1, "x", replaces=first),
            lambda: store.publish_set({"a": FRAME}, "x", replaces=first),
        ):
            with pytest.raises(ArtifactReplacedError, match=f"'x' was to replace .*{first}"):
                publish()
        assert_frame_equal(store.download("x"), OTHER)
        assert [each.content.sha256 for each in store.versions("x")] == [first, second]
        assert store.publish(OTHER, "x", replaces=second).sha256 == second

    def test_a_merge_replaces_what_is_current_beside_a_killed_publication(
        self, store: PipelineStore
    ) -> None:
        first = store.publish(FRAME, "x").sha256
        with pytest.raises(Killed):
            dying(store, 3).upload(OTHER, "x")
        store.publish(FRAME[:2], "x", replaces=first)
        assert len(store.download("x")) == 2

    def test_a_merge_is_refused_if_its_base_is_replaced_at_the_last_moment(
        self, store: PipelineStore
    ) -> None:
        """Between the claim of its place and its commit."""
        first = store.publish(FRAME, "x").sha256
        late = dying(store, 9)
        put_new = late._backend._backend.put_new

        def overtaken(*args: Any) -> Any:
            done = put_new(*args)
            store._backend.put_new = put_new
            store.upload(OTHER, "x")
            return done

        store._backend.put_new = overtaken
        with pytest.raises(ArtifactReplacedError, match="has replaced it meanwhile"):
            late.publish(FRAME[:2], "x", replaces=first)
        assert_frame_equal(store.download("x"), OTHER)
        moment = datetime.now(UTC) + HOUR
        assert_frame_equal(store.download("x", as_of=moment), OTHER)

    def test_merges_at_once_lose_no_update(self, store: PipelineStore) -> None:
        """Each adds one to the current number, again and again until it succeeds."""
        store.publish_json(0, "x")

        def add(_: int) -> None:
            while True:
                base = store.manifest("x", kind=JSON).content.sha256
                value = store.download_json("x", base)
                try:
                    store.publish_json(value + 1, "x", replaces=base)
                except ArtifactReplacedError:
                    continue
                return

        together(add, range(6))
        assert store.download_json("x") == 6

    # Moments

    def test_a_table_is_read_as_of_a_moment(self, store: PipelineStore, clock: Clock) -> None:
        clock.shows = NOON
        store.upload(FRAME, "x")
        clock.shows = NOON + HOUR
        store.upload(OTHER, "x")
        store.upload(OTHER, "x")
        berlin = timezone(timedelta(hours=2))
        for as_of in (NOON, "2026-03-31T14:59:59.999999+02:00", NOON.astimezone(berlin)):
            assert_frame_equal(store.download("x", as_of=as_of), FRAME)
            assert store.download_table("x", as_of=as_of).num_rows == 3
            assert store.open_reader("x", as_of=as_of).read_all().num_rows == 3
            assert store.manifest("x", as_of=as_of).content.rows == 3
        for as_of in (NOON + HOUR, "2026-03-31T13:00Z", NOON + 9 * HOUR):
            assert_frame_equal(store.download("x", as_of=as_of), OTHER)

    def test_sets_and_values_are_read_as_of_a_moment(
        self, store: PipelineStore, clock: Clock
    ) -> None:
        """All tables of a set come from the same publication."""
        for hours, frame in enumerate((FRAME, OTHER)):
            clock.shows = NOON + hours * HOUR
            store.publish_set({"a": frame, "b": frame}, "x")
            store.publish_json(hours, "x")
        assert store.download_json("x", as_of=NOON) == 0
        for name in "ab":
            assert_frame_equal(store.download_set("x", as_of=NOON)[name], FRAME)
            assert store.download_set_tables("x", as_of=NOON)[name].num_rows == 3
            assert store.open_reader("x", member=name, as_of=NOON).read_all().num_rows == 3
            assert store.members("x", as_of=NOON)[name].rows == 3

    @pytest.mark.parametrize(
        "as_of",
        ["2026-03-31", "2026-03-31T12:00", datetime(2026, 3, 31)],  # noqa: DTZ001
    )
    def test_a_moment_without_a_time_zone_is_refused(
        self, store: PipelineStore, as_of: Any
    ) -> None:
        store.upload(FRAME, "x")
        with pytest.raises(ValueError, match=r"as_of .*2026-03-31T18:00:00\+02:00"):
            store.download("x", as_of=as_of)

    def test_a_moment_and_a_version_are_refused(self, store: PipelineStore) -> None:
        version = store.publish(FRAME, "x").sha256
        with pytest.raises(ValueError, match="either a version or as_of"):
            store.download("x", version, as_of=NOON)

    def test_before_the_first_publication_there_was_nothing(
        self, store: PipelineStore, clock: Clock
    ) -> None:
        clock.shows = NOON
        version = store.publish(FRAME, "x").sha256
        with pytest.raises(ArtifactNotFoundError, match=f"nothing had been published.*{version}"):
            store.download("x", as_of=NOON - HOUR)
        with pytest.raises(ArtifactNotFoundError, match=r"nothing had been published.*none"):
            store.download("never", as_of=NOON)

    def test_what_retention_removed_is_not_replaced_by_another_version(
        self, store: PipelineStore, clock: Clock
    ) -> None:
        """The error says so, and which versions remain."""
        published = []
        for hours in range(4):
            clock.shows = NOON + hours * HOUR
            published.append(store.publish(FRAME[:hours], "x").sha256)
        store.retain(keep_last=2)
        for hours in (0, 1):
            with pytest.raises(ArtifactNotFoundError, match="has removed") as caught:
                store.download("x", as_of=NOON + hours * HOUR)
            assert [version in str(caught.value) for version in published[2:]] == [True, True]
        with pytest.raises(ArtifactNotFoundError, match="nothing had been published"):
            store.download("x", as_of=NOON - HOUR)
        assert len(store.download("x", as_of=NOON + 2 * HOUR)) == 2

    def test_while_it_was_deleted_there_was_nothing(
        self, store: PipelineStore, clock: Clock
    ) -> None:
        clock.shows = NOON
        store.upload(FRAME, "x")
        clock.shows = NOON + HOUR
        store.delete("x")
        for _ in range(2):
            assert_frame_equal(store.download("x", as_of=NOON), FRAME)
            with pytest.raises(ArtifactNotFoundError, match="had been deleted at 2026-03-31T13"):
                store.download("x", as_of=NOON + HOUR)
            clock.shows = NOON + 2 * HOUR
            store.upload(OTHER, "x")
        assert_frame_equal(store.download("x", as_of=NOON + 2 * HOUR), OTHER)

    def test_a_killed_publication_was_never_current(
        self, store: PipelineStore, clock: Clock
    ) -> None:
        """Neither the first one of all, nor one between two others."""
        clock.shows = NOON
        with pytest.raises(Killed):
            dying(store, 3).upload(OTHER, "x")
        with pytest.raises(ArtifactNotFoundError, match="nothing had been published"):
            store.download("x", as_of=NOON)
        clock.shows = NOON + HOUR
        store.upload(FRAME, "x")
        clock.shows = NOON + 2 * HOUR
        with pytest.raises(Killed):
            dying(store, 3).upload(FRAME[:0], "x")
        clock.shows = NOON + 3 * HOUR
        store.upload(FRAME[:2], "x")
        with pytest.raises(ArtifactNotFoundError, match="nothing had been published"):
            store.download("x", as_of=NOON)
        assert len(store.download("x", as_of=NOON + 2 * HOUR)) == 3
        assert len(store.download("x", as_of=NOON + 3 * HOUR)) == 2

    def test_the_number_decides_if_clocks_disagree(
        self, store: PipelineStore, clock: Clock
    ) -> None:
        """A publisher whose clock is behind comes just after the one before it."""
        clock.shows = NOON + HOUR
        store.upload(FRAME, "x")
        clock.shows = NOON
        store.upload(OTHER, "x")
        with pytest.raises(ArtifactNotFoundError):
            store.download("x", as_of=NOON)
        assert_frame_equal(store.download("x", as_of=NOON + HOUR), FRAME)
        just_after = NOON + HOUR + timedelta(microseconds=1)
        assert_frame_equal(store.download("x", as_of=just_after), OTHER)

    def test_a_damaged_place_is_never_guessed(
        self, store: PipelineStore, clock: Clock, objects: Objects, overwrite: Overwrite
    ) -> None:
        for hours in range(3):
            clock.shows = NOON + hours * HOUR
            store.upload(FRAME[:hours], "x")
        store.retain(keep_last=2)
        (key,) = (key for key in objects() if key.endswith("/places/000000001"))
        overwrite(key, objects()[key].replace(b"/n000000001", b"/n000000002"))
        with pytest.raises(ArtifactCorruptError, match="'x'"):
            store.download("x", as_of=NOON)
        assert [problem.uri[-len(key) :] for problem in store.verify()] == [key]

    def test_a_removed_version_is_not_taken_for_one_that_returns(
        self, store: PipelineStore, clock: Clock
    ) -> None:
        """The place of 2 stays, as the one after 1; that of 3 is removed."""
        for hour, value in enumerate((1, 2, 3, 1)):
            clock.shows = NOON + hour * HOUR
            store.publish_json(value, "x")
        store.retain(keep_last=1)
        clock.shows = NOON + 4 * HOUR
        store.publish_json(2, "x")
        with pytest.raises(ArtifactNotFoundError, match="retention has removed"):
            store.download_json("x", as_of=NOON + 2 * HOUR)
        found = [store.download_json("x", as_of=NOON + hour * HOUR) for hour in (0, 3, 4)]
        assert found == [1, 1, 2]

    def test_every_moment_keeps_its_version_whatever_happens_later(
        self, open_store: OpenStore, clock: Clock
    ) -> None:
        """Publications, merges, deletions, retention and kills, under clocks that jump."""
        run_machine(
            lambda store: Moments(store, clock), open_store, examples=6 // self.share, steps=12
        )


def together(work: Callable[[int], Any], numbers: range) -> list[Any]:
    """Call a function with each number, each in a thread, all at once; return the results."""
    barrier, results, errors = threading.Barrier(len(numbers)), [], []

    def run(number: int) -> None:
        barrier.wait()
        try:
            results.append(work(number))
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    return results
