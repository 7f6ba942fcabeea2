"""Uncaught exceptions in threads, finalizers and callbacks fail their study without their text."""

import asyncio
import gc
import logging
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from orch_assets import LocalPipelineStore, in_study_context, study_context
from orch_assets.errors import ArtifactNotFoundError, StudyCancelledError, UncaughtFailureError
from orch_assets.orchestration import lanes
from orch_assets.orchestration.lanes import Lanes
from orch_assets.orchestration.steps import LaneStep, StepOutput
from orch_assets.study import publishing
from orch_assets_tests.orchestration.registries import errors, execute
from orch_assets_tests.orchestration.strays import (
    ASYNC_STRAYS,
    PLANTED,
    STRAYS,
    Handle,
    fail,
    plain_thread,
    run_thread,
)

STRAY = "ValueError: planted-patient-0042 (at strays.py:"


@pytest.fixture
def log(caplog):
    """A function that returns the logged lines."""
    caplog.set_level(logging.DEBUG)
    return lambda: [record.getMessage() for record in caplog.records if record.levelno > 20]


@pytest.fixture
def pythons_hooks(monkeypatch):
    """Python's own hooks, as in a Dagster process; pytest installs others."""
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)


@pytest.mark.parametrize("stray", STRAYS, ids=lambda stray: stray.__name__)
def test_it_fails_its_study_alone_and_only_type_and_place_are_logged(stray, log, capfd):
    """The result, which only the caller sees, has the message, too."""

    def pipeline(study_key, sdk, study_logger):
        if study_key == "B":
            stray()

    results = execute(pipeline, "A", "B", "C", max_workers=1)
    assert errors(results) == {"A": None, "B": results["B"]["error"], "C": None}
    assert results["B"]["error"].startswith(STRAY)
    assert results["B"]["error"].endswith(f" in fail, {STRAYS[stray]})")
    (line,) = log()
    assert line.startswith("Study B, pipeline pipeline: ValueError (at strays.py:")
    assert line.endswith(f" in fail, {STRAYS[stray]}). The study fails.")
    assert PLANTED not in "".join(capfd.readouterr())


@pytest.mark.parametrize("stray", ASYNC_STRAYS, ids=lambda stray: stray.__name__)
def test_likewise_of_async_studies_on_one_loop(stray, log, capfd):
    async def pipeline(study_key, sdk, study_logger):
        await (stray() if study_key == "B" else asyncio.sleep(0.03))

    results = execute(pipeline, "A", "B", "C")
    assert errors(results) == {"A": None, "B": results["B"]["error"], "C": None}
    assert results["B"]["error"].startswith(STRAY)
    (line,) = log()
    assert line.startswith("Study B, pipeline pipeline: ValueError (at strays.py:")
    assert PLANTED not in "".join([line, *capfd.readouterr()])


def test_studies_side_by_side_each_fail_of_their_own_threads():
    meet = threading.Barrier(4, timeout=10)

    def pipeline(study_key, sdk, study_logger):
        def work():
            meet.wait()
            if study_key in "BD":
                raise KeyError(study_key)

        run_thread(threading.Thread(target=work))

    found = errors(execute(pipeline, *"ABCD", max_workers=4))
    assert [found["A"], found["C"]] == [None, None]
    assert found["B"].startswith("KeyError: 'B' (at test_uncaught.py:")
    assert found["D"].startswith("KeyError: 'D' (at test_uncaught.py:")


def test_what_the_pipeline_takes_itself_is_the_pipelines_affair(log):
    """An executor's future holds its exception for the caller of ``result()``."""

    def pipeline(study_key, sdk, study_logger):
        with ThreadPoolExecutor() as pool:
            future = pool.submit(in_study_context(fail))
            return type(future.exception()).__name__

    assert execute(pipeline, "A")["A"]["data"] == "ValueError"
    assert log() == []


def test_the_pipelines_own_failure_comes_first_and_both_are_told():
    def pipeline(study_key, sdk, study_logger):
        for _ in range(20):
            plain_thread()
        raise RuntimeError("mine")

    error = execute(pipeline, "A")["A"]["error"]
    assert error.startswith(f"RuntimeError: mine; also {STRAY}")
    assert error.count("also") == 1


def test_many_different_failures_are_counted():
    def pipeline(study_key, sdk, study_logger):
        def work(number):
            raise ValueError(str(number))

        for number in range(20):
            run_thread(threading.Thread(target=work, args=(number,)))

    error = execute(pipeline, "A")["A"]["error"]
    assert error.startswith("ValueError: 0 (at test_uncaught.py:")
    assert error.endswith("; also 15 more")


@pytest.mark.parametrize("retried", [True, False])
def test_it_is_tried_again_by_the_rules_for_any_failure(retried, monkeypatch):
    monkeypatch.setattr(lanes, "backoff", lambda _: 0.0)
    tries = []

    def pipeline(study_key, sdk, study_logger):
        tries.append(study_key)
        if len(tries) == 1:
            plain_thread()

    retry_on = (ValueError,) if retried else (OSError,)
    result = execute(pipeline, "A", retries=2, retry_on=retry_on)["A"]
    assert (result["status"], len(tries)) == (("SUCCESS", 2) if retried else ("FAILED", 1))


def test_nothing_is_published_once_a_thread_has_failed(tmp_path):
    store = LocalPipelineStore(tmp_path)

    def pipeline(study_key, sdk, study_logger):
        store.publish_json({"rows": 1}, f"before/{study_key}")
        plain_thread()
        store.publish_json({"rows": 2}, f"after/{study_key}")

    assert execute(pipeline, "A")["A"]["error"].startswith(STRAY)
    assert store.download_json("before/A") == {"rows": 1}
    with pytest.raises(ArtifactNotFoundError):
        store.download_json("after/A")


def test_a_refused_publication_that_is_caught_fails_the_study_all_the_same():
    def pipeline(study_key, sdk, study_logger):
        plain_thread()
        with pytest.raises(UncaughtFailureError, match="of study A failed"), publishing():
            pass

    assert execute(pipeline, "A")["A"]["error"].startswith(STRAY)


def test_a_thread_that_outlives_its_study_changes_no_result(log, capfd):
    """It is not printed in full even after the call: the hooks stay installed."""
    go = threading.Event()
    threads = []

    def pipeline(study_key, sdk, study_logger):
        def work():
            go.wait(10)
            fail()

        threads.append(threading.Thread(target=work))
        threads[0].start()

    assert errors(execute(pipeline, "A")) == {"A": None}
    go.set()
    threads[0].join()
    (line,) = log()
    assert line.endswith(" in fail, in a thread). The try had ended; no result changes.")
    assert PLANTED not in "".join([line, *capfd.readouterr()])


def test_the_thread_of_a_study_that_was_given_up_ends_without_a_word(log, capfd):
    left = []

    def pipeline(study_key, sdk, study_logger):
        def publish():
            time.sleep(0.5)
            with publishing():
                pass

        left.append(threading.Thread(target=in_study_context(publish)))
        left[0].start()
        left[0].join()

    assert errors(execute(pipeline, "A", study_timeout=0.1)) == {
        "A": "Timeout: gave up after 0.1 s"
    }
    left[0].join()
    assert log() == []
    assert StudyCancelledError.__name__ not in "".join(capfd.readouterr())


def test_system_exit_ends_a_thread_as_in_python_and_an_interrupt_is_a_failure():
    def pipeline(study_key, sdk, study_logger):
        def work():
            raise {"A": SystemExit, "B": KeyboardInterrupt}[study_key]

        run_thread(threading.Thread(target=work))

    found = errors(execute(pipeline, "A", "B"))
    assert found["A"] is None
    assert found["B"].startswith("KeyboardInterrupt: (at test_uncaught.py:")


# --- what no study is known for ---


@pytest.mark.usefixtures("pythons_hooks")
def test_what_the_garbage_collector_finalizes_is_no_studys(log, capfd):
    """It may belong to any study, so the running study must not fail."""

    def pipeline(study_key, sdk, study_logger):
        handle = Handle()
        handle.itself = handle
        del handle
        gc.collect()

    assert errors(execute(pipeline, "A")) == {"A": None}
    (line,) = log()
    assert line.startswith("ValueError (at strays.py:")
    assert line.endswith(" in fail, in a finalizer or callback). No study is known for it.")
    assert PLANTED not in "".join([line, *capfd.readouterr()])


@pytest.mark.usefixtures("pythons_hooks")
def test_lanes_keep_what_no_study_is_known_for():
    go = threading.Event()

    def work():
        go.wait(10)
        fail()

    class Runner:
        def run(self, turn):
            go.set()
            outside.join()
            return StepOutput(result=None)

        def provenance(self, turn):
            return {}

    outside = threading.Thread(target=work)
    outside.start()
    running = Lanes(Runner(), 1)
    (result,) = running.run({"A": [LaneStep("a")]})
    assert result.failure is None
    (unattributed,) = running.unattributed
    assert unattributed.startswith("ValueError (at strays.py:")
    assert unattributed.endswith(" in fail, in a thread)")


def test_hooks_of_others_get_what_is_no_studys_and_nothing_else(monkeypatch):
    theirs = []
    monkeypatch.setattr(threading, "excepthook", lambda args: theirs.append(args.exc_type))

    def other():
        raise LookupError

    def pipeline(study_key, sdk, study_logger):
        plain_thread()

    for _ in range(2):
        assert errors(execute(pipeline, "A"))["A"].startswith(STRAY)
    run_thread(threading.Thread(target=other))
    with study_context("A"):  # outside of a run nobody would ask for it
        run_thread(threading.Thread(target=other))
    assert theirs == [LookupError, LookupError]


AFTERWARDS = """
import threading
from orch_assets_tests.orchestration.registries import execute
from orch_assets_tests.orchestration.strays import fail
print(execute(lambda *_: None, "A"))
thread = threading.Thread(target=fail)
thread.start()
"""


def test_after_a_run_a_program_sees_its_own_threads_failures_whole():
    done = subprocess.run(
        [sys.executable, "-c", AFTERWARDS], capture_output=True, text=True, check=True
    )
    assert "SUCCESS" in done.stdout
    assert "Traceback" in done.stderr
    assert PLANTED in done.stderr
