"""Distinguishes who interrupted a run: a person with Ctrl-C, or the host."""

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

    Dagster cancels a run only if that is requested in the UI or by GraphQL. It attributes any other
    interrupt to the host: the run ends as FAILURE and is retried. Inside this context, a SIGINT
    requests the cancellation, so that the run ends as CANCELED. A SIGTERM is still attributed to
    the host.

    Does nothing in a process that a code server started for the run. There, a SIGINT comes from
    Dagster itself, or is sent to all processes of a service that is being stopped, so it is the
    host's as well.
    """
    if multiprocessing.parent_process() is not None:
        yield
        return
    with record_interrupts() as interrupts:
        try:
            yield
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
            if interrupts[:1] == [signal.SIGINT]:
                with capture_interrupts():
                    _request_cancellation(instance, run.run_id)
            raise


@contextmanager
def record_interrupts() -> Iterator[list[int]]:
    """Yield a list to which the signals that interrupt the block are added.

    The signals are still handled by their previous handlers. Python handles signals only in the
    main thread; in other threads the list stays empty.
    """
    received: list[int] = []
    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
    if threading.current_thread() is threading.main_thread():
        for each in (signal.SIGINT, signal.SIGTERM):
            if callable(handler := signal.getsignal(each)):
                handlers[each] = handler

    def record(number: int, frame: FrameType | None) -> None:
        received.append(number)
        handlers[number](number, frame)

    try:
        for number in handlers:
            signal.signal(number, record)
        yield received
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def cancelled_by_ctrl_c(function: F) -> F:
    """Wrap an op, whose first argument is its context, in :func:`ctrl_c_cancels`."""

    @functools.wraps(function)
    def op(context: Any, *arguments: Any, **named: Any) -> Any:
        with ctrl_c_cancels(context.instance, context.run):
            return function(context, *arguments, **named)

    return cast(F, op)


def _request_cancellation(instance: dg.DagsterInstance, run_id: str) -> None:
    run = instance.get_run_by_id(run_id)
    # A run that ended in the meantime, or is already being cancelled, stays as it is.
    if run is not None and run.status == dg.DagsterRunStatus.STARTED:
        instance.report_run_canceling(run, _CTRL_C)
