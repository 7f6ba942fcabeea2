"""Who ended a run: a person at the keyboard, or the host that it ran on."""

import functools
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, TypeVar, cast

import dagster as dg

from orch_assets.defs.dagster_internals import capture_interrupts

F = TypeVar("F", bound=Callable[..., Any])

_CTRL_C: Final = "Ctrl-C: the run is cancelled."


@contextmanager
def ctrl_c_cancels(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[None]:
    """Let Ctrl-C cancel the run that a command executes in its own process.

    Dagster knows of a cancellation only what was asked of it, in the UI or by GraphQL. It takes any
    other interrupt for the host's: the run is FAILURE, and is retried. Here a SIGINT asks Dagster
    to cancel the run, which then ends as CANCELED. A SIGTERM stays the host's.

    In a process that a code server started for the run, a SIGINT is Dagster's own message, or goes
    to all processes of a service that somebody stops: the host's, too.
    """
    if multiprocessing.parent_process() is not None:
        yield
        return
    with noting_interrupts() as interrupts:
        try:
            yield
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
            if interrupts[:1] == [signal.SIGINT]:
                with capture_interrupts():
                    _report(instance, run.run_id)
            raise


@contextmanager
def noting_interrupts() -> Iterator[list[int]]:
    """Give a list that fills with the signals that interrupt the block.

    They are handled as before. Python handles signals in the main thread alone: elsewhere the list
    stays empty.
    """
    noted: list[int] = []
    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
    if threading.current_thread() is threading.main_thread():
        for each in (signal.SIGINT, signal.SIGTERM):
            if callable(handler := signal.getsignal(each)):
                handlers[each] = handler

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        handlers[number](number, frame)

    try:
        for number in handlers:
            signal.signal(number, note)
        yield noted
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def cancelled_by_ctrl_c(function: F) -> F:
    """Do as :func:`ctrl_c_cancels` around an op that takes its context first."""

    @functools.wraps(function)
    def op(context: Any, *arguments: Any, **named: Any) -> Any:
        with ctrl_c_cancels(context.instance, context.run):
            return function(context, *arguments, **named)

    return cast(F, op)


def _report(instance: dg.DagsterInstance, run_id: str) -> None:
    run = instance.get_run_by_id(run_id)
    # One that somebody else ended meanwhile stays as it is.
    if run is not None and run.status == dg.DagsterRunStatus.STARTED:
        instance.report_run_canceling(run, _CTRL_C)
