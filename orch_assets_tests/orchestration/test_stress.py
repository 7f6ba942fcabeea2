"""A thousand studies, of which every tenth misbehaves in one of many ways."""

import asyncio
import gc
import random
import threading
import time

import pytest

from orch_assets.errors import StudyCancelledError
from orch_assets.study import publishing
from orch_assets_tests.orchestration.registries import execute

STUDIES = 1000
SEEDS = 50
# Only a hung study takes as long; ten times what others take on a busy machine.
TIMEOUT_SECONDS = 3.0


class UnreadableError(BaseException):
    def __repr__(self):
        raise RuntimeError("no text")

    __str__ = __repr__


class OwnBaseError(BaseException):
    pass


def recurse():
    return recurse() + 1


def generator():
    yield 1
    raise ValueError("never reached")


def raising(error):
    def misbehave(_):
        raise error()

    return misbehave


# Each way with what its study's result is: an error's beginning, or data.
MISBEHAVIOURS = {
    "exception": (raising(lambda: ValueError("planted")), "ValueError: planted"),
    "system exit": (raising(lambda: SystemExit(2)), "SystemExit: 2"),
    "interrupt": (raising(KeyboardInterrupt), "KeyboardInterrupt"),
    "unreadable": (raising(UnreadableError), "UnreadableError: (the exception has no readable"),
    "base exception": (raising(lambda: OwnBaseError("mine")), "OwnBaseError: mine"),
    "stop iteration": (raising(StopIteration), "StopIteration"),
    "generator exit": (raising(GeneratorExit), "GeneratorExit"),
    "cancelled": (raising(asyncio.CancelledError), "CancelledError"),
    "no memory": (raising(MemoryError), "MemoryError"),
    "recursion": (lambda _: recurse(), "RecursionError: maximum recursion depth exceeded"),
    "hang": (lambda release: release.wait(60), "Timeout: gave up after"),
    "huge": (lambda _: bytes(2_000_000), None),
    "generator": (lambda _: generator(), None),
}


class Plan:
    """Chooses from a seed which studies misbehave and how; runs them and records their calls."""

    def __init__(self, seed, *, hangs):
        self.random = random.Random(seed)
        ways = [way for way in MISBEHAVIOURS if hangs or way != "hang"]
        bad = self.random.sample(range(STUDIES), STUDIES // 10)
        chosen = [ways[n % len(ways)] for n in range(len(bad))]
        self.ways = {str(n): way for n, way in zip(bad, chosen, strict=True)}
        if hangs:  # each costs its thread, so a few of them do
            hung = [key for key, way in self.ways.items() if way == "hang"]
            self.ways.update(dict.fromkeys(hung[2:], "exception"))
        self.keys = [str(n) for n in range(STUDIES)]
        self.release = threading.Event()
        self.calls = []

    def work(self, study_key):
        self.calls.append(study_key)
        way = self.ways.get(study_key)
        if way is None:
            return {"key": study_key}
        value = MISBEHAVIOURS[way][0](self.release)
        if way == "hang":
            self.publish_late()
        return value

    def publish_late(self):
        try:
            with publishing():
                self.calls.append("published after it was given up")
        except StudyCancelledError:
            pass

    def check(self, results):
        assert list(results) == self.keys
        assert sorted(self.calls) == sorted(self.keys)
        for key, result in results.items():
            way = self.ways.get(key)
            error = MISBEHAVIOURS[way][1] if way else None
            assert set(result) == {"status", "data", "error", "duration_seconds"}
            assert result["duration_seconds"] >= 0
            if error is None:
                assert (result["status"], result["error"]) == ("SUCCESS", None)
                assert way or result["data"] == {"key": key}
            else:
                assert (result["status"], result["data"]) == ("FAILED", None)
                assert result["error"].startswith(error)


@pytest.fixture(scope="module", autouse=True)
def _no_old_garbage():
    """What earlier tests left isn't collected in the middle of a study, which takes seconds."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def no_thread_left():
    """No thread is left afterwards."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 10
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(threading.enumerate()) <= before


@pytest.mark.usefixtures("no_thread_left")
@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_study_has_exactly_its_own_result(seed):
    """Every twentieth run has hung studies, whose timeout takes most of the time."""
    hangs = seed % 20 == 0
    plan = Plan(seed, hangs=hangs)
    workers = plan.random.choice([1, 2, 4, 8, 16])
    before = threading.active_count()
    results = execute(
        lambda study_key, sdk, study_logger: plan.work(study_key),
        *plan.keys,
        max_workers=workers,
        study_timeout=TIMEOUT_SECONDS if hangs else None,
    )
    hung = sum(way == "hang" for way in plan.ways.values())
    assert threading.active_count() <= before + hung
    plan.release.set()
    plan.check(results)


@pytest.mark.usefixtures("no_thread_left")
@pytest.mark.parametrize("seed", range(5))
def test_async_studies_likewise(seed):
    plan = Plan(seed, hangs=False)

    async def pipeline(study_key, sdk, study_logger):
        await asyncio.sleep(plan.random.random() / 100)
        try:
            return plan.work(study_key)
        except StopIteration:
            raise RuntimeError("StopIteration") from None  # Python does so itself in a coroutine

    results = execute(pipeline, *plan.keys)
    for key, way in plan.ways.items():
        if way == "stop iteration":
            assert results[key]["error"] == "RuntimeError: StopIteration"
            results[key]["error"] = "StopIteration"
    plan.check(results)
