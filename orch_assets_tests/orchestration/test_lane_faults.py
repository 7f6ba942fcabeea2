"""Lanes whose runner, worker or thread fails still yield one result for every step."""

import asyncio
import threading
import time

import pytest

from orch_assets.orchestration.lanes import Lanes
from orch_assets.orchestration.steps import LaneStep, StepOutput
from orch_assets.orchestration.threads import Workers


class Runner:
    """Runs every step successfully; a test may replace any method."""

    def run(self, turn):
        return StepOutput(result="plain")

    async def run_async(self, turn, on_worker):
        return StepOutput(result=await on_worker(self.block, turn))

    def block(self, turn):
        return "blocked"

    def report(self, turn, failure):
        return None

    def provenance(self, turn):
        return {}


def run(runner, plan, max_workers=2):
    results = list(Lanes(runner, max_workers).run(plan))
    return {(r.study_key, r.step): r for r in results}


def raising(error):
    def fail(*args):
        raise error

    return fail


KINDS = pytest.mark.parametrize("is_async", [False, True])


@KINDS
@pytest.mark.parametrize("method", ["provenance", "report"])
def test_a_runner_that_fails_beside_its_work_fails_the_step_alone(method, is_async):
    runner = Runner()
    setattr(runner, method, raising(SystemExit("broken runner")))
    if method == "report":
        runner.run = runner.block = raising(ValueError())
    plan = {
        "A": [LaneStep("a", is_async=is_async), LaneStep("b", upstreams=("a",))],
        "B": [LaneStep("c")],
    }
    results = run(runner, plan)
    assert results["A", "a"].failure.kind == "SystemExit"
    assert results["A", "b"].failure.error == "UpstreamFailed: a"
    assert len(results) == 3


def test_what_a_worker_raises_reaches_the_async_step_that_waits_for_it():
    runner = Runner()
    runner.block = raising(StopIteration(7))
    results = run(runner, {"A": [LaneStep("a", is_async=True)]})
    assert results["A", "a"].failure.kind == "RuntimeError"  # as from any coroutine
    runner.block = raising(KeyboardInterrupt())
    results = run(runner, {"A": [LaneStep("a", is_async=True)]})
    assert results["A", "a"].failure.kind == "KeyboardInterrupt"


def test_an_async_step_that_hangs_on_a_worker_is_given_up_and_the_worker_replaced():
    release, runner = threading.Event(), Runner()
    runner.block = lambda turn: release.wait(30) if turn.study_key == "A" else "blocked"
    step = LaneStep("a", is_async=True, timeout=0.3)
    results = run(runner, {key: [step] for key in "ABC"}, max_workers=1)
    release.set()
    assert results["A", "a"].failure.error == "Timeout: gave up after 0.3 s"
    assert [results[key, "a"].output for key in "BC"] == ["blocked", "blocked"]


def test_an_async_steps_wait_for_a_worker_is_neither_its_working_time_nor_its_timeout():
    runner = Runner()
    runner.block = lambda turn: time.sleep(0.1)
    step = LaneStep("a", is_async=True, timeout=0.4)
    results = run(runner, {str(n): [step] for n in range(8)}, max_workers=1)
    assert all(result.failure is None for result in results.values())
    assert all(0.1 <= result.duration_seconds < 0.3 for result in results.values())


def test_what_an_async_step_does_first_is_its_own_working_time():
    """Studies that wait behind a blocking one on the loop are not charged for the wait."""

    class Busy(Runner):
        async def run_async(self, turn, on_worker):
            time.sleep(0.05)  # noqa: ASYNC251 - it keeps the loop on purpose
            return StepOutput(result=None)

    results = run(Busy(), {str(n): [LaneStep("a", is_async=True)] for n in range(10)})
    assert all(0.05 <= result.duration_seconds < 0.2 for result in results.values())


def test_a_given_up_async_step_gets_no_worker_any_more():
    """A request for a worker during its closing would otherwise wait for ever."""
    closed = []

    class Closing(Runner):
        async def run_async(self, turn, on_worker):
            try:
                await asyncio.sleep(30)
            finally:
                try:
                    await on_worker(closed.append, "written")
                except asyncio.CancelledError:
                    closed.append("refused")

    results = run(Closing(), {"A": [LaneStep("a", is_async=True, timeout=0.1)]})
    assert results["A", "a"].failure.kind == "Timeout"
    deadline = time.monotonic() + 5
    while not closed and time.monotonic() < deadline:
        time.sleep(0.01)
    assert closed == ["refused"]


def test_a_study_that_stops_the_loop_hurts_nobody():
    class Stops(Runner):
        async def run_async(self, turn, on_worker):
            if turn.study_key == "A":
                asyncio.get_running_loop().stop()
            await asyncio.sleep(0.05)
            return StepOutput(result="waited")

    results = run(Stops(), {key: [LaneStep("a", is_async=True)] for key in "ABC"})
    assert [result.output for result in results.values()] == ["waited"] * 3


def test_where_the_system_gives_few_threads_few_do_the_work(monkeypatch):
    start, started = threading.Thread.start, []

    def scarce(thread):
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    results = run(Runner(), {str(n): [LaneStep("a")] for n in range(50)}, max_workers=8)
    assert {result.output for result in results.values()} == {"plain"}


def test_where_the_system_gives_no_thread_the_caller_is_told(monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", raising(RuntimeError("can't start new thread")))
    with pytest.raises(RuntimeError, match="can't start new thread"):
        run(Runner(), {"A": [LaneStep("a")]})


def test_where_there_is_no_thread_for_what_comes_next_the_run_ends(monkeypatch):
    start = threading.Thread.start

    def no_worker(thread):
        if thread.name == "orch-assets-worker":
            raise RuntimeError("can't start new thread")
        start(thread)

    class Quick(Runner):
        async def run_async(self, turn, on_worker):
            return StepOutput(result="quick")

    monkeypatch.setattr(threading.Thread, "start", no_worker)
    results = run(Quick(), {"A": [LaneStep("a", is_async=True), LaneStep("b")]})
    assert results["A", "a"].output == "quick"
    assert results["A", "b"].failure.error == "RuntimeError: can't start new thread"


def test_a_stopped_pool_drops_what_comes_later():
    workers, calls = Workers(1), []
    workers.stop()
    workers.submit(lambda: calls.append("late"))
    workers.join()
    time.sleep(0.05)
    assert calls == []


def test_a_thread_that_an_interrupt_left_half_started_is_not_joined(monkeypatch):
    def interrupted(thread):
        raise KeyboardInterrupt

    workers = Workers(1)
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        workers.submit(lambda: None)
    workers.stop()
    workers.join()
