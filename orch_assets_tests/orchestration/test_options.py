"""The orchestrator's keyword parameters."""

import asyncio
import threading
import time

import pytest

from orch_assets import ImednetError, MultiStudyOrchestrator, study_pipeline
from orch_assets.errors import OrchestratorError, StudyCancelledError
from orch_assets.orchestration import CancelHandle
from orch_assets.orchestration.call_runner import CallRunner, step_of
from orch_assets.orchestration.lanes import Lanes
from orch_assets.orchestration.options import RunOptions
from orch_assets.orchestration.ordering import longest_first
from orch_assets.study import publishing
from orch_assets_tests.orchestration.registries import Registry, errors, execute


@pytest.fixture
def release():
    """An event that a hung study waits for until its test ends."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize(
    "option",
    [
        {"study_timeout": 0},
        {"study_timeout": float("nan")},
        {"study_timeout": True},
        {"run_deadline": -1},
        {"retries": -1},
        {"retries": 1.5},
        {"retry_on": "ConnectionError"},
        {"retry_on": (ConnectionError, int)},
        {"on_result": 7},
        {"expected_durations": {"A": -1.0}},
        {"expected_durations": {"A": float("inf")}},
        {"expected_durations": {"A": "long"}},
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(option):
    with pytest.raises(OrchestratorError, match=next(iter(option))):
        MultiStudyOrchestrator(Registry(), **option)


@pytest.mark.parametrize(
    "option",
    [
        {"max_workers": "planted"},
        {"study_timeout": "planted"},
        {"run_deadline": "planted"},
        {"retries": "planted"},
        {"expected_durations": {"A": "planted"}},
    ],
)
def test_what_an_option_was_given_is_not_quoted(option):
    """Our errors' texts are logged, and a pipeline may pass a data value to one."""
    with pytest.raises(OrchestratorError) as caught:
        MultiStudyOrchestrator(Registry(), **option)
    assert "planted" not in str(caught.value)


def test_options_are_given_by_name_only():
    with pytest.raises(TypeError):
        MultiStudyOrchestrator(Registry(), 4, 10)


# --- study_timeout ---


def test_a_study_that_exceeds_its_timeout_fails_alone(release):
    def hangs_b(study_key, sdk, study_logger):
        if study_key == "B":
            release.wait(30)

    assert errors(execute(hangs_b, *"ABC", max_workers=1, study_timeout=0.2)) == {
        "A": None,
        "B": "Timeout: gave up after 0.2 s",
        "C": None,
    }


def test_the_wait_for_a_worker_is_not_part_of_the_timeout():
    def work(study_key, sdk, study_logger):
        time.sleep(0.1)

    results = execute(work, *map(str, range(6)), max_workers=1, study_timeout=0.3)
    assert set(errors(results).values()) == {None}


def test_a_pipelines_own_timeout_and_retries_count_before_the_orchestrators():
    @study_pipeline(timeout=7, retries=2, retry_on=KeyError)
    def own(study_key, sdk, study_logger): ...

    @study_pipeline
    def none(study_key, sdk, study_logger): ...

    options = RunOptions(study_timeout=3, retries=1)
    step = step_of(own, options)
    assert (step.timeout, step.retries, step.retry_on) == (7, 2, (KeyError,))
    step = step_of(none, options)
    assert (step.timeout, step.retries, step.retry_on) == (3, 1, (ConnectionError, TimeoutError))


def test_an_async_study_that_keeps_the_loop_to_itself_does_not_keep_the_call(release):
    """Studies behind a blocking one on the loop never start, and time out too."""

    async def blocks(study_key, sdk, study_logger):
        release.wait(30)

    began = time.monotonic()
    results = execute(blocks, *"ABC", study_timeout=0.2)
    assert set(errors(results).values()) == {"Timeout: gave up after 0.2 s"}
    assert time.monotonic() - began < 5


# --- retries ---


def retry(function, *study_keys, max_workers=1, **options):
    """Run with retries that don't wait; return the results by study, and the requested waits."""
    waits = []

    def backoff(tries):
        waits.append(tries)
        return 0.0

    lanes = Lanes(CallRunner(None, function, (), {}), max_workers, backoff=backoff)
    step = step_of(function, RunOptions(**options))
    return {r.study_key: r for r in lanes.run({key: [step] for key in study_keys})}, waits


def plain(work):
    return lambda study_key, sdk, study_logger: work(study_key)


def asynchronous(work):
    async def pipeline(study_key, sdk, study_logger):
        await asyncio.sleep(0)
        return work(study_key)

    return pipeline


@pytest.mark.parametrize("kind", [plain, asynchronous])
def test_retries_are_for_the_errors_that_are_worth_it(kind):
    raises = {"often": ConnectionResetError, "never": ValueError, "registry": ImednetError}
    tries = dict.fromkeys(raises, 0)

    def work(study_key):
        tries[study_key] += 1
        if study_key != "often" or tries[study_key] < 3:
            raise raises[study_key]
        return "at last"

    retry_on = (ConnectionError, ImednetError)
    results, waits = retry(kind(work), *raises, retries=2, retry_on=retry_on)
    assert tries == {"often": 3, "never": 1, "registry": 1}
    assert results["often"].output == "at last"
    assert results["never"].failure.kind == "ValueError"
    assert results["registry"].failure.kind == "ImednetError"
    assert waits == [1, 2]


@pytest.mark.parametrize("kind", [plain, asynchronous])
def test_retries_end(kind):
    tries = []

    def work(study_key):
        tries.append(study_key)
        raise TimeoutError("again")

    results, _ = retry(kind(work), "A", retries=3)
    assert results["A"].failure.error == "TimeoutError: again"
    assert len(tries) == 4


def test_a_study_holds_no_worker_while_it_waits_for_its_next_try(monkeypatch):
    order = []

    def work(study_key):
        order.append(study_key)
        if order.count("A") == 1 and study_key == "A":
            raise ConnectionError

    lanes = Lanes(CallRunner(None, plain(work), (), {}), 1, backoff=lambda tries: 0.3)
    step = step_of(plain(work), RunOptions(retries=1))
    results = list(lanes.run({key: [step] for key in "ABC"}))
    assert order == ["A", "B", "C", "A"]
    assert all(result.failure is None for result in results)
    assert max(result.duration_seconds for result in results) < 0.3


def test_a_study_that_was_given_up_is_not_tried_again():
    tries = []

    def work(study_key, sdk, study_logger):
        tries.append(study_key)
        raise ConnectionError

    began = time.monotonic()
    results = execute(work, "A", retries=5, run_deadline=0.2)
    assert results["A"]["error"] == "Timeout: the run was stopped after 0.2 s"
    assert time.monotonic() - began < 2
    time.sleep(1.2)
    assert tries == ["A"]


# --- on_result, and the caller's own exceptions ---


def test_on_result_is_called_in_the_callers_thread_as_studies_end():
    calls = []

    def on_result(study_key, result):
        calls.append((study_key, result["data"], threading.current_thread()))

    def work(study_key, sdk, study_logger):
        time.sleep(0.15 if study_key == "A" else 0.0)
        return study_key.lower()

    results = execute(work, "A", "B", max_workers=2, on_result=on_result)
    here = threading.current_thread()
    assert calls == [("B", "b", here), ("A", "a", here)]
    assert list(results) == ["A", "B"]


@pytest.mark.parametrize("raised", [ValueError("disk full"), KeyboardInterrupt()])
def test_what_the_caller_raises_cancels_and_carries_the_partial_results(raised, release):
    begun = []

    def work(study_key, sdk, study_logger):
        begun.append(study_key)
        if study_key != "A":
            release.wait(30)
        return study_key

    def on_result(study_key, result):
        raise raised

    with pytest.raises(type(raised)) as caught:
        execute(work, *"ABCDE", max_workers=2, on_result=on_result)
    assert caught.value is raised
    assert list(raised.results) == [*"ABCDE"]
    assert raised.results["A"]["data"] == "A"
    assert {r["error"] for key, r in raised.results.items() if key != "A"} == {
        "Cancelled: the run was cancelled"
    }
    assert "E" not in begun


def test_partial_results_hold_what_had_ended_though_the_caller_had_not_seen_it():
    ended = threading.Event()

    def work(study_key, sdk, study_logger):
        if study_key == "C":
            ended.set()
        return study_key

    def on_result(study_key, result):
        assert ended.wait(5)
        time.sleep(0.1)
        raise ValueError

    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the very one that is raised above
        execute(work, *"ABC", max_workers=1, on_result=on_result)
    assert [r["data"] for r in caught.value.results.values()] == [*"ABC"]


def test_an_exception_that_refuses_attributes_is_raised_as_it_is():
    class SealedError(Exception):
        @property
        def results(self):
            return "its own"

    def on_result(study_key, result):
        raise SealedError

    with pytest.raises(SealedError):
        execute(lambda study_key, sdk, study_logger: None, "A", on_result=on_result)


# --- run_deadline ---


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_what_has_not_ended_at_the_deadline_fails(kind, release):
    def hangs(study_key, sdk, study_logger):
        if study_key != "A":
            release.wait(30)

    async def waits(study_key, sdk, study_logger):
        if study_key != "A":
            await asyncio.sleep(30)

    began = time.monotonic()
    results = execute(hangs if kind == "plain" else waits, *"ABCD", max_workers=2, run_deadline=0.3)
    assert time.monotonic() - began < 3
    late = "Timeout: the run was stopped after 0.3 s"
    assert errors(results) == {"A": None, "B": late, "C": late, "D": late}
    assert 0.1 < results["B"]["duration_seconds"] < 1


def test_a_run_within_its_deadline_does_not_wait_for_it():
    began = time.monotonic()
    results = execute(lambda study_key, sdk, study_logger: 1, "A", run_deadline=30)
    assert results["A"]["data"] == 1
    assert time.monotonic() - began < 5


# --- cancel ---


def test_a_cancel_from_another_thread_ends_the_run(release):
    handle, begun = CancelHandle(), threading.Event()
    published = []

    def work(study_key, sdk, study_logger):
        if study_key == "A":
            return "done"
        begun.set()
        release.wait(30)
        try:
            with publishing():
                published.append("published")
        except StudyCancelledError:
            published.append("refused")

    def cancel():
        begun.wait(5)
        time.sleep(0.05)
        handle.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    results = execute(work, *"ABC", max_workers=1, cancel=handle)
    thread.join()
    cancelled = "Cancelled: the run was cancelled"
    assert errors(results) == {"A": None, "B": cancelled, "C": cancelled}
    assert handle.cancelled
    release.set()
    deadline = time.monotonic() + 5
    while not published and time.monotonic() < deadline:
        time.sleep(0.01)
    assert published == ["refused"]


def test_a_cancelled_handle_ends_later_runs_before_they_begin():
    handle, calls = CancelHandle(), []
    handle.cancel()
    results = execute(
        lambda study_key, sdk, study_logger: calls.append(study_key), *"AB", cancel=handle
    )
    assert {r["error"] for r in results.values()} == {"Cancelled: the run was cancelled"}
    assert calls == []


def test_one_handle_ends_many_runs_and_forgets_those_that_ended(release):
    handle, results = CancelHandle(), {}

    def hang(study_key, sdk, study_logger):
        release.wait(30)

    def run(name):
        results[name] = execute(hang, name, cancel=handle)

    execute(lambda study_key, sdk, study_logger: None, "ended", cancel=handle)
    threads = [threading.Thread(target=run, args=(name,)) for name in "AB"]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    assert len(handle._callbacks) == 2
    handle.cancel()
    for thread in threads:
        thread.join(5)
    assert {name: result[name]["status"] for name, result in results.items()} == {
        "A": "FAILED",
        "B": "FAILED",
    }
    assert handle._callbacks == []


def test_an_async_study_that_is_cancelled_closes_what_it_has_open():
    handle, closed = CancelHandle(), threading.Event()

    async def work(study_key, sdk, study_logger):
        try:
            handle.cancel()
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.01)
            closed.set()

    results = execute(work, "A", cancel=handle)
    assert results["A"]["error"] == "Cancelled: the run was cancelled"
    assert closed.wait(5)


# --- expected_durations ---


def test_the_longest_begin_first_and_unknown_ones_count_as_the_median():
    expected = {"short": 1.0, "middle": 3.0, "long": 9.0, "not here": 100.0}
    studies = ["short", "new 1", "long", "middle", "new 2"]
    assert longest_first(studies, expected) == ["long", "new 1", "middle", "new 2", "short"]
    assert longest_first(studies, {}) == studies


def test_studies_begin_longest_first_and_results_stay_in_registry_order():
    begun = []
    results = execute(
        lambda study_key, sdk, study_logger: begun.append(study_key),
        *"ABC",
        max_workers=1,
        expected_durations={"B": 5.0, "C": 2.0, "A": 1.0},
    )
    assert begun == ["B", "C", "A"]
    assert list(results) == ["A", "B", "C"]
