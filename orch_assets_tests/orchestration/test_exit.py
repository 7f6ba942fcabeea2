"""Hung studies block neither the call nor interpreter exit; a real interrupt; a real terminal."""

import os
import subprocess
import sys
import textwrap
import time

import pytest

PREAMBLE = """
import asyncio, os, signal, sys, threading, time
from orch_assets_tests.orchestration.registries import execute, errors
"""


def run_script(script, **kwargs):
    command = [sys.executable, "-c", PREAMBLE + textwrap.dedent(script)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, **kwargs
    )


@pytest.mark.parametrize(
    "pipeline",
    [
        "def hangs(study_key, sdk, study_logger): time.sleep(600)",
        "async def hangs(study_key, sdk, study_logger): time.sleep(600)",
        "async def hangs(study_key, sdk, study_logger): await asyncio.sleep(600)",
        "async def hangs(study_key, sdk, study_logger): await asyncio.to_thread(time.sleep, 600)",
    ],
)
def test_hung_studies_keep_neither_the_call_nor_the_interpreter(pipeline):
    script = f"""
    {pipeline}
    results = execute(hangs, *"ABC", max_workers=2, study_timeout=0.3)
    print(sorted(set(errors(results).values())))
    """
    began = time.monotonic()
    done = run_script(script)
    assert done.stdout.strip() == "['Timeout: gave up after 0.3 s']", done.stderr
    assert done.returncode == 0
    assert time.monotonic() - began < 20


def test_a_real_interrupt_cancels_and_carries_the_partial_results():
    script = """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it

    def work(study_key, sdk, study_logger):
        if study_key == "B":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(600)
        return study_key

    try:
        execute(work, *"ABC", max_workers=1)
    except KeyboardInterrupt as interrupt:
        print([result["error"] for result in interrupt.results.values()])
    """
    done = run_script(script)
    cancelled = "'Cancelled: the run was cancelled'"
    assert done.stdout.strip() == f"[None, {cancelled}, {cancelled}]", done.stderr
    assert done.returncode == 0


def test_an_interrupt_that_another_thread_gets_is_not_waited_over():
    # as one that strikes between the caller's last line and its wait: nothing wakes the caller
    script = """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

    def work(study_key, sdk, study_logger):
        time.sleep(0.3)  # the caller waits by now
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(600)

    try:
        execute(work, "A")
    except KeyboardInterrupt as interrupt:
        print(interrupt.results["A"]["error"])
    """
    assert run_script(script).stdout.strip() == "Cancelled: the run was cancelled"


def test_a_signal_handler_may_cancel():
    script = """
    from orch_assets.orchestration import CancelHandle
    handle = CancelHandle()
    signal.signal(signal.SIGTERM, lambda *_: handle.cancel())

    def work(study_key, sdk, study_logger):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(600)

    print(execute(work, "A", cancel=handle)["A"]["error"])
    """
    assert run_script(script).stdout.strip() == "Cancelled: the run was cancelled"


BAR = """
def work(study_key, sdk, study_logger):
    if study_key == "B":
        raise ValueError
execute(work, *"ABC", progress=True)
print("done")
"""


def test_there_is_no_progress_bar_where_there_is_no_terminal():
    done = run_script(BAR)
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_there_is_a_progress_bar_on_a_terminal():
    main, terminal = os.openpty()
    command = [sys.executable, "-c", PREAMBLE + BAR]
    env = {**os.environ, "TERM": "xterm"}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=terminal, timeout=60, check=True, env=env
    )
    os.close(terminal)
    shown = os.read(main, 65536).decode()
    os.close(main)
    assert done.stdout == b"done\n"
    assert "3/3" in shown
    assert "1 failed" in shown
