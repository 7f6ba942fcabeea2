"""Lanes: dependency order, branches, handed-over values, leaving the loop early."""

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orch_assets.orchestration.lanes import Lanes
from orch_assets.orchestration.steps import LaneStep, StepOutput


class Runner:
    """Returns each step's name with its upstream values; fails the steps of ``fail``."""

    def __init__(self, fail=()):
        self.fail = set(fail)
        self.order = []
        self.lock = threading.Lock()

    def run(self, turn):
        with self.lock:
            self.order.append((turn.study_key, turn.step.name))
        if (turn.study_key, turn.step.name) in self.fail:
            raise ValueError("planted")
        values = ",".join(turn.upstream_values[name] for name in turn.step.upstreams)
        value = f"{turn.step.name}({values})"
        return StepOutput(result=value, handover=value)

    def report(self, turn, failure):
        return f"report of {turn.study_key} {turn.step.name}"

    def provenance(self, turn):
        return {}


DIAMOND = [
    LaneStep("a"),
    LaneStep("b", upstreams=("a",)),
    LaneStep("c", upstreams=("a",)),
    LaneStep("d", upstreams=("b", "c")),
    LaneStep("alone"),
]


def results_of(runner, studies, workers=2):
    return {
        (r.study_key, r.step): (r.output, r.failure.error if r.failure else None, r.report)
        for r in Lanes(runner, workers).run(studies)
    }


def test_steps_receive_what_their_upstreams_handed_over():
    results = results_of(Runner(), {"S": DIAMOND})
    assert results["S", "d"] == ("d(b(a()),c(a()))", None, None)


def test_a_failed_step_ends_its_branch_of_its_lane_and_nothing_else():
    results = results_of(Runner(fail=[("S", "b")]), {"S": DIAMOND, "T": DIAMOND})
    assert {step: error for (study, step), (_, error, _) in results.items() if study == "S"} == {
        "a": None,
        "b": "ValueError: planted",
        "c": None,
        "d": "UpstreamFailed: b",
        "alone": None,
    }
    assert all(error is None for (study, _), (_, error, _) in results.items() if study == "T")


def test_only_what_raised_is_reported():
    results = results_of(Runner(fail=[("S", "b")]), {"S": DIAMOND})
    assert [report for _, _, report in results.values() if report] == ["report of S b"]
    assert results["S", "b"][2] == "report of S b"


def test_lanes_already_begun_go_before_new_ones():
    runner = Runner()
    results_of(runner, dict.fromkeys("ABCDEF", DIAMOND), workers=1)
    studies = [study for study, _ in runner.order]
    assert studies == sorted(studies)


def test_leaving_the_loop_stops_what_has_not_begun():
    class Slow(Runner):
        def run(self, turn):
            time.sleep(0.002)
            return super().run(turn)

    runner = Slow()
    for _ in Lanes(runner, 1).run({str(n): [LaneStep("a")] for n in range(1000)}):
        break
    assert len(runner.order) < 1000


def test_a_study_without_steps_has_no_results():
    assert results_of(Runner(), {"S": [], "T": [LaneStep("a")]}) == {
        ("T", "a"): ("a()", None, None)
    }


@settings(deadline=None, max_examples=60)
@given(
    workers=st.integers(1, 8),
    studies=st.integers(0, 12),
    failing=st.sets(st.tuples(st.integers(0, 11), st.sampled_from("abcd")), max_size=20),
)
def test_every_step_of_every_study_has_exactly_one_result(workers, studies, failing):
    fail = {(str(study), step) for study, step in failing}
    plan = {str(study): DIAMOND for study in range(studies)}
    results = list(Lanes(Runner(fail=fail), workers).run(plan))
    places = [(r.study_key, r.step) for r in results]
    assert sorted(places) == sorted((study, step.name) for study in plan for step in DIAMOND)
    for result in results:
        broken = {step for study, step in fail if study == result.study_key}
        ancestors = {"a": {"a"}, "b": {"a", "b"}, "c": {"a", "c"}, "d": set("abcd"), "alone": set()}
        assert (result.failure is None) == (not broken & ancestors[result.step])


def test_a_repeated_call_is_made_while_steps_run():
    """It is made on the caller's thread, and what it raises is raised to the caller."""
    made = []

    class Slow(Runner):
        def run(self, turn):
            deadline = time.monotonic() + 30
            while len(made) < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            return super().run(turn)

    def call():
        made.append(threading.current_thread())
        if len(made) == 2:
            raise ValueError("the second call")

    lanes = Lanes(Slow(), 1)
    lanes.call_every(0.05, call)
    with pytest.raises(ValueError, match="the second call"):
        list(lanes.run({"S": [LaneStep("a")]}))
    assert made == [threading.current_thread()] * 2
