"""Exceptions that nobody catches: in threads, finalizers and callbacks that a pipeline leaves.

Python prints them with message and traceback, which may quote data, and goes on as if nothing had
happened. Here they are the failure of the study whose code raised them: the log names type and
place, the failure report has the rest.

An exception is a study's when it came out of ``in_study_context``, when the study was at work where
it was raised, or when the study started the thread. What the garbage collector finalizes may be
anybody's, whoever is at work there: that is logged, and fails no study.
"""

import gc
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import Any, Final

from orch_assets.errors import StudyCancelledError, UncaughtFailureError
from orch_assets.orchestration.reporting.results import Failure, describe_failure
from orch_assets.study import (
    Raised,
    StudyContext,
    StudyContextLogAdapter,
    current_context,
    study_behind,
)

_log = logging.getLogger(__name__)

IN_THREAD: Final = "in a thread"
IN_FINALIZER: Final = "in a finalizer or callback"
IN_ASYNCIO: Final = "in a task or callback that nobody awaits"
_IN_EXECUTOR: Final = "in an executor's callback"

# Loggers of Python's own to which it logs what nobody catches, with traceback and values.
_LOGGERS: Final = {"asyncio": IN_ASYNCIO, "concurrent.futures": _IN_EXECUTOR}

# Where a thread keeps the study that started it.
_STARTED_BY: Final = "_orch_assets_study"

# What is told of a study beside its first failure: a thousand threads may fail of one thing.
_TOLD: Final = 5

_lock = threading.Lock()
# For each set of lanes that runs now: what no study is known for, each text once.
_running: list[dict[str, None]] = []
_this_thread = threading.local()


# --- what became of a try ---


def all_raised(error: BaseException | None = None) -> Sequence[Raised]:
    """End the try that is under way here; return all that was raised in it, the pipeline's first.

    Args:
        error: what the pipeline raised itself.
    """
    study = current_context()
    uncaught = study.uncaught.end() if study and study.uncaught is not None else []
    if error is None or (uncaught and isinstance(error, UncaughtFailureError)):
        return uncaught
    return [Raised(error), *uncaught]


def failure_of(raised: Sequence[Raised], describe: Callable[[BaseException], Failure]) -> Failure:
    """Return the first failure, which tells of the others too.

    Args:
        raised: at least one.
        describe: says what is known of an exception.
    """
    first, *others = [_failure(each, describe) for each in raised]
    if not others:
        return first
    return replace(
        first,
        message=_joined([first.message, *(each.error for each in others)]),
        place=_joined([first.place, *(each.loggable for each in others)]),
        trace="\n".join(each.trace for each in (first, *others)),
    )


def _failure(raised: Raised, describe: Callable[[BaseException], Failure]) -> Failure:
    failure = describe(raised.error)
    if not raised.where:
        return failure
    place = ", ".join(filter(None, (failure.place, raised.where)))
    message = f"{failure.message} (at {place})".lstrip()
    trace = f"Raised {raised.where}:\n{failure.trace}"
    return replace(failure, place=place, message=message, trace=trace)


def _joined(texts: Sequence[str]) -> str:
    """Return the first texts, each once, and how many more there are."""
    told = list(dict.fromkeys(texts))
    if len(told) > _TOLD:
        told[_TOLD:] = [f"{len(told) - _TOLD} more"]
    return "; also ".join(told).removeprefix("; ")


# --- as it is raised ---


def take(raised: Raised, study: StudyContext | None = None) -> bool:
    """Take an exception that nobody caught, as its study's failure; False leaves it to Python.

    Args:
        raised: the exception.
        study: whose it is; else that is found out.
    """
    study = study or _study_of(raised.error)
    told = _failure(raised, describe_failure).loggable
    if study is None or study.uncaught is None:
        running = tuple(_running)
        for unattributed in running:
            unattributed[told] = None
        if running:
            _log.error("%s. No study is known for it.", told)
        return bool(running)
    given_up = study.lease.revoked
    if given_up and isinstance(raised.error, StudyCancelledError):
        return True  # what it is meant to end with
    counts = not given_up and study.uncaught.note(raised)
    StudyContextLogAdapter(_log, study.study_key).error(
        "Study %s, pipeline %s: %s. %s",
        study.study_key,
        study.provenance.get("pipeline", "unknown"),
        told,
        "It is a failure of the study." if counts else "Its try had ended: no result changes.",
    )
    return True


def _study_of(error: BaseException) -> StudyContext | None:
    """Return whose it is; None, too, for a study that nobody runs and that could not fail."""
    study = study_behind(error)
    if study is None and not getattr(_this_thread, "collects", False):
        study = _at_work()
    return study if study is not None and study.uncaught is not None else None


def _at_work() -> StudyContext | None:
    """Return the study that this thread works for, or else the one that started it."""
    return current_context() or vars(threading.current_thread()).get(_STARTED_BY)


# --- where Python asks ---


class _Hook:
    """What Python calls with an exception that nobody catches; leaves to others what isn't ours.

    Args:
        before: the hook that was there.
        own: Python's, which prints everything: what is no study's, another's hook may have.
    """

    def __init__(self, before: Callable[[Any], object], own: Callable[[Any], object]) -> None:
        self._before = before
        self._is_last = before is own

    def __call__(self, args: Any, /) -> None:
        if not self._takes(args):
            self._before(args)

    def _takes(self, args: Any) -> bool:
        error, in_thread = args.exc_value, hasattr(args, "thread")
        study = None if error is None else _study_of(error)
        if error is None or (study is None and not self._is_last):
            return False
        if in_thread and isinstance(error, SystemExit):
            return True  # which ends a thread, and is no failure
        started = "thread" in (getattr(args, "err_msg", None) or "")
        return take(Raised(error, IN_THREAD if in_thread or started else IN_FINALIZER), study)


def _takes_no_record(record: logging.LogRecord) -> bool:
    """Filter out what one of Python's loggers says of an exception that nobody caught."""
    error = record.exc_info[1] if record.exc_info else None
    return error is None or not take(Raised(error, _LOGGERS.get(record.name, IN_ASYNCIO)))


def _note_collection(phase: str, info: object) -> None:  # noqa: ARG001 - the collector's signature
    _this_thread.collects = phase == "start"


@contextmanager
def watching(unattributed: dict[str, None]) -> Iterator[None]:
    """Take, while studies are at work, what nobody catches.

    The hooks stay, for threads that outlive their study and the run: what they raise then would be
    printed after all. What is no study's goes where it went before.

    Args:
        unattributed: gets, as keys, what may be logged of an exception that no study is known for.
    """
    with _lock:
        _hook_in()
        _running.append(unattributed)
    try:
        yield
    finally:
        with _lock:
            _running[:] = [each for each in _running if each is not unattributed]


def _hook_in() -> None:
    if not isinstance(threading.excepthook, _Hook):
        threading.excepthook = _Hook(threading.excepthook, threading.__excepthook__)
    if not isinstance(sys.unraisablehook, _Hook):
        sys.unraisablehook = _Hook(sys.unraisablehook, sys.__unraisablehook__)
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_takes_no_record)
    if _note_collection not in gc.callbacks:
        gc.callbacks.append(_note_collection)
    if not hasattr(threading.Thread.start, _STARTED_BY):
        threading.Thread.start = _noting_study(threading.Thread.start)  # type: ignore[assignment,method-assign]


def _noting_study(start: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    """Return ``Thread.start`` as it is, but that a thread knows the study that started it.

    Python has no other place for it: a thread knows neither its parent nor its context variables.
    """

    @wraps(start)
    def noting(self: threading.Thread) -> None:
        vars(self)[_STARTED_BY] = _at_work()
        start(self)

    vars(noting)[_STARTED_BY] = None
    return noting
