"""The working time of an attempt."""

from hypothesis import given
from hypothesis import strategies as st

from orch_assets.orchestration.attempt import Attempt, Lane, backoff
from orch_assets.orchestration.steps import LaneStep

SECONDS = st.floats(0, 1e6)


def attempt(timeout=None):
    return Attempt(Lane("A", []), LaneStep("a", timeout=timeout))


@given(began=SECONDS, waits=st.lists(st.tuples(SECONDS, SECONDS), max_size=5))
def test_time_stands_still_while_it_waits(began, waits):
    it, now, worked = attempt(), began, 0.0
    for work, wait in waits:
        it.resume(now)
        it.pause(now + work)
        now += work + wait
        worked += work
        assert abs(it.worked(now) - worked) < 1e-6


@given(began=SECONDS, first=st.floats(0, 10), timeout=st.floats(10.001, 1e5))
def test_it_is_overdue_when_its_time_is_used_up_however_the_clock_rounds(began, first, timeout):
    it = attempt(timeout)
    it.resume(began)
    it.pause(began + first)
    later = began + first + 1000
    it.resume(later)
    left = timeout - it.worked(later)
    assert not it.is_overdue(later)
    assert it.is_overdue(later + left)


def test_without_a_timeout_it_is_never_overdue():
    it = attempt()
    it.resume(0.0)
    assert not it.is_overdue(1e9)


def test_backoff_doubles_up_to_a_minute():
    longest = [1, 2, 4, 8, 16, 32, 60, 60]
    for tries, most in enumerate(longest, start=1):
        assert all(most / 2 <= backoff(tries) <= most for _ in range(20))


def test_a_lane_keeps_only_the_values_that_a_later_step_takes():
    steps = [LaneStep("b", ("a", "c"), takes=("c",)), LaneStep("d", ("c",), takes=())]
    lane = Lane("A", steps)
    for name in ("a", "c"):
        lane.store(LaneStep(name), name)
    assert lane.values == {"c": "c"}
    lane.steps.popleft()
    lane.store(LaneStep("b"), "b")
    assert lane.values == {}
