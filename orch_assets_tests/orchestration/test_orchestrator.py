"""``MultiStudyOrchestrator``: the seeds' API and its guarantees."""

import asyncio
import contextvars
import threading
import time

import pytest

from orch_assets import MultiStudyOrchestrator, get_current_study, study_pipeline
from orch_assets.errors import FilterConflictError, OrchestratorError, StudyCancelledError
from orch_assets.study import publishing
from orch_assets_tests.orchestration.registries import Registry


def run(function, *study_keys, max_workers=4, **kwargs):
    sdk = Registry(*(study_keys or ("A", "B", "C")))
    return MultiStudyOrchestrator(sdk, max_workers).execute_pipeline(function, **kwargs)


def statuses(results):
    return {key: result["status"] for key, result in results.items()}


def test_every_study_has_one_result_with_the_four_keys_in_registry_order():
    def slow_first(study_key, sdk, study_logger):
        time.sleep(0.05 if study_key == "B" else 0)
        return {"key": study_key}

    results = run(slow_first, "B", "A", "C")
    assert list(results) == ["B", "A", "C"]
    assert [set(r) for r in results.values()] == [
        {"status", "data", "error", "duration_seconds"}
    ] * 3
    assert results["A"] | {"duration_seconds": 0} == {
        "status": "SUCCESS",
        "data": {"key": "A"},
        "error": None,
        "duration_seconds": 0,
    }


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (ValueError("no such form"), "ValueError: no such form"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (MemoryError(), "MemoryError"),
        (asyncio.CancelledError(), "CancelledError"),
    ],
)
def test_whatever_one_study_raises_fails_that_study_alone(raised, error):
    def fails_b(study_key, sdk, study_logger):
        if study_key == "B":
            raise raised

    results = run(fails_b)
    assert statuses(results) == {"A": "SUCCESS", "B": "FAILED", "C": "SUCCESS"}
    assert results["B"]["error"] == error


def test_an_exception_without_readable_text_is_a_result_all_the_same():
    class UnreadableError(Exception):
        def __str__(self):
            raise RuntimeError("no text")

        __repr__ = __str__

    def fails(study_key, sdk, study_logger):
        raise UnreadableError

    assert run(fails, "A")["A"]["error"] == "UnreadableError: (the exception has no readable text)"


def test_the_duration_is_the_work_and_not_the_wait_for_a_worker():
    def work(study_key, sdk, study_logger):
        time.sleep(0.1)

    results = run(work, "A", "B", "C", "D", max_workers=1)
    assert all(0.1 <= r["duration_seconds"] < 0.19 for r in results.values())


def test_no_more_studies_are_at_work_than_workers():
    lock, at_work, most = threading.Lock(), 0, 0

    def work(study_key, sdk, study_logger):
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.01)
        with lock:
            at_work -= 1

    run(work, *map(str, range(40)), max_workers=3)
    assert most == 3


def test_further_arguments_reach_the_pipeline():
    def work(study_key, sdk, study_logger, first, *, second):
        return (study_key, first, second)

    orchestrator = MultiStudyOrchestrator(Registry("A"))
    results = orchestrator.execute_pipeline(work, None, None, 1, second=2)
    assert results["A"]["data"] == ("A", 1, 2)


def test_whitelist_and_blacklist_together_are_refused_before_any_request():
    sdk = Registry("A", "B")
    with pytest.raises(FilterConflictError) as caught:
        MultiStudyOrchestrator(sdk).execute_pipeline(
            lambda study_key, sdk, study_logger: None, {"A"}, {"B"}
        )
    assert (caught.value.whitelist, caught.value.blacklist) == ({"A"}, {"B"})
    assert sdk.requests == 0


@pytest.mark.parametrize(
    ("filters", "selected"),
    [
        ({}, ["C", "A", "B"]),
        ({"whitelist": {"A", "C"}}, ["C", "A"]),
        ({"blacklist": {"A"}}, ["C", "B"]),
        ({"whitelist": set()}, []),
        ({"whitelist": set(), "blacklist": {"A"}}, []),
        ({"whitelist": {"A"}, "blacklist": set()}, ["A"]),
    ],
)
def test_filters_keep_registry_order(filters, selected):
    assert MultiStudyOrchestrator(Registry("C", "A", "B")).resolve_active_studies(**filters) == (
        selected
    )


def test_an_empty_whitelist_and_unknown_keys_are_said_in_the_log(caplog):
    orchestrator = MultiStudyOrchestrator(Registry("A"))
    orchestrator.resolve_active_studies(whitelist=set())
    orchestrator.resolve_active_studies(whitelist={"A", "Z"})
    assert "whitelist is empty" in caplog.text
    assert "names study Z, which is not in the registry" in caplog.text


def test_a_bare_string_is_no_filter():
    with pytest.raises(OrchestratorError, match="give a set of study keys"):
        MultiStudyOrchestrator(Registry("A")).resolve_active_studies(whitelist="A")


def test_a_repeated_key_runs_once_and_an_impossible_one_never(caplog):
    results = run(lambda study_key, sdk, study_logger: 1, "A", "A", "B/C", "", "D")
    assert list(results) == ["A", "D"]
    assert "'B/C' holds '/'" in caplog.text


def test_a_registry_that_cannot_be_read_is_an_orchestrator_error_with_its_cause():
    class Broken:
        @property
        def studies(self):
            raise ConnectionError("refused")

    with pytest.raises(OrchestratorError) as caught:
        MultiStudyOrchestrator(Broken()).execute_pipeline(lambda study_key, sdk, study_logger: None)
    assert isinstance(caught.value.__cause__, ConnectionError)


@pytest.mark.parametrize(
    "function", [lambda study_key: None, lambda study_key, sdk, study_logger, more: None, 7]
)
def test_a_wrong_signature_is_refused_before_any_request(function):
    sdk = Registry("A")
    with pytest.raises(OrchestratorError):
        MultiStudyOrchestrator(sdk).execute_pipeline(function)
    assert sdk.requests == 0


@pytest.mark.parametrize("workers", [0, -1, True, 2.0, "4"])
def test_workers_must_be_a_number_from_one(workers):
    with pytest.raises(OrchestratorError, match="max_workers"):
        MultiStudyOrchestrator(Registry(), workers)


def test_the_callers_context_reaches_the_workers_and_the_study_is_known_there():
    request = contextvars.ContextVar("request", default="none")
    request.set("caller")

    def work(study_key, sdk, study_logger):
        request_here = request.get()
        request.set(study_key)
        return request_here, get_current_study(), study_logger.study_key

    results = run(work, "A", "B", max_workers=1)
    assert [r["data"] for r in results.values()] == [("caller", "A", "A"), ("caller", "B", "B")]
    assert get_current_study() is None


def test_async_pipelines_wait_without_workers():
    async def waits(study_key, sdk, study_logger):
        await asyncio.sleep(0.2)
        return get_current_study()

    started = time.monotonic()
    results = run(waits, *map(str, range(200)), max_workers=1)
    assert time.monotonic() - started < 10  # one after the other: 40
    assert [r["data"] for r in results.values()] == [str(n) for n in range(200)]


def test_an_async_study_that_raises_fails_alone():
    async def fails_b(study_key, sdk, study_logger):
        await asyncio.sleep(0)
        if study_key == "B":
            raise SystemExit(1)

    assert statuses(run(fails_b)) == {"A": "SUCCESS", "B": "FAILED", "C": "SUCCESS"}


def test_a_hung_study_times_out_and_may_not_publish_afterwards():
    may_go_on, tried = threading.Event(), []

    @study_pipeline(timeout=0.1)
    def hangs(study_key, sdk, study_logger):
        if study_key != "B":
            return
        may_go_on.wait(10)
        try:
            with publishing():
                tried.append("published")
        except StudyCancelledError:
            tried.append("refused")

    results = run(hangs, *"ABCDEF", max_workers=1)
    assert results["B"]["status"] == "FAILED"
    assert results["B"]["error"] == "Timeout: gave up after 0.1 s"
    assert statuses(results) | {"B": "SUCCESS"} == dict.fromkeys("ABCDEF", "SUCCESS")
    may_go_on.set()
    deadline = time.monotonic() + 5
    while not tried and time.monotonic() < deadline:
        time.sleep(0.01)
    assert tried == ["refused"]


def test_an_async_study_that_times_out_is_cancelled():
    cancelled = threading.Event()

    @study_pipeline(timeout=0.1)
    async def hangs(study_key, sdk, study_logger):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    results = run(hangs, "A")
    assert results["A"]["error"] == "Timeout: gave up after 0.1 s"
    assert cancelled.wait(5)


def test_no_thread_is_left_behind():
    before = set(threading.enumerate())

    async def waits(study_key, sdk, study_logger):
        await asyncio.sleep(0)

    run(lambda study_key, sdk, study_logger: None, *map(str, range(50)))
    run(waits, *map(str, range(50)))
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(threading.enumerate()) == before
