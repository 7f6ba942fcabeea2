"""Uncaught exceptions in threads, finalizers and callbacks that a pipeline leaves behind.

Python prints them with message and traceback, which may quote data, and continues as if nothing had
happened. Here they fail the study whose code raised them: the log names type and place, the failure
report has the rest.

An exception belongs to a study if it came out of ``in_study_context``, if the study was running
where it was raised, or if the study started the thread. An object that the garbage collector
finalizes may belong to any study, whichever is running in that thread: its exception is logged and
fails no study.
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
from orch_assets.orchestration.returned_values import Skip
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

# Python's own loggers for uncaught exceptions. They would print the traceback and data values.
_LOGGERS: Final = {"asyncio": IN_ASYNCIO, "concurrent.futures": _IN_EXECUTOR}

# Attribute of a thread that holds the study that started it.
_STARTED_BY: Final = "_orch_assets_study"

# Failures listed for a study: a thousand threads may fail for one reason.
_MAX_LISTED: Final = 5

# Module state, not attributes of a run: Python has one excepthook, one unraisablehook and one list
# of gc callbacks for the whole process, and calls them without naming a run.
_lock = threading.Lock()
# For each running set of lanes, its ``Lanes.unattributed``.
_active_runs: list[dict[str, None]] = []
# ``collecting``: whether the garbage collector is running in this thread.
_this_thread = threading.local()


# --- the end of a try ---


def end_try(error: BaseException | None = None) -> Sequence[Raised]:
    """End the current study's try; return all exceptions raised in it, the pipeline's own first.

    Args:
        error: The exception that the pipeline itself raised.
    """
    study = current_context()
    uncaught = study.uncaught.end() if study and study.uncaught is not None else []
    if error is None or (uncaught and isinstance(error, UncaughtFailureError)):
        return uncaught
    return [Raised(error), *uncaught]


def merged_failure(
    raised: Sequence[Raised], describe: Callable[[BaseException], Failure]
) -> Failure:
    """Return the failure of the first exception, which also mentions the others.

    Args:
        raised: At least one exception.
        describe: Returns the failure of an exception.
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
    """Return the first texts, each once, and the number of the others."""
    listed = list(dict.fromkeys(texts))
    if len(listed) > _MAX_LISTED:
        listed[_MAX_LISTED:] = [f"{len(listed) - _MAX_LISTED} more"]
    return "; also ".join(listed).removeprefix("; ")


# --- when an exception is raised ---


def record(raised: Raised, study: StudyContext | None = None) -> bool:
    """Record an uncaught exception as its study's failure; return False to leave it to Python.

    Args:
        raised: The exception.
        study: The study that it belongs to; None finds it.
    """
    study = study or _study_of(raised.error)
    text = _failure(raised, describe_failure).loggable
    if study is None or study.uncaught is None:
        active_runs = tuple(_active_runs)
        for unattributed in active_runs:
            unattributed[text] = None
        if active_runs:
            _log.error("%s. No study is known for it.", text)
        return bool(active_runs)
    revoked = study.lease.revoked
    if revoked and isinstance(raised.error, StudyCancelledError):
        return True  # the expected end of a cancelled study
    counts = not revoked and study.uncaught.note(raised)
    skips = issubclass(type(raised.error), Skip)  # isinstance would ask the error
    effect = f"The study {'is skipped' if skips else 'fails'}."
    StudyContextLogAdapter(_log, study.study_key).log(
        logging.INFO if skips else logging.ERROR,
        "Study %s, pipeline %s: %s. %s",
        study.study_key,
        study.provenance.get("pipeline", "unknown"),
        text,
        effect if counts else "The try had ended; no result changes.",
    )
    return True


def _study_of(error: BaseException) -> StudyContext | None:
    """Return the study of an exception; None also for a study that no run could fail."""
    study = study_behind(error)
    if study is None and not getattr(_this_thread, "collecting", False):
        study = _current_study()
    return study if study is not None and study.uncaught is not None else None


def _current_study() -> StudyContext | None:
    """Return the study of this thread's context, otherwise the study that started the thread."""
    return current_context() or vars(threading.current_thread()).get(_STARTED_BY)


# --- Python's hooks ---


class _Hook:
    """A hook that Python calls with an uncaught exception; passes on what it does not record.

    Args:
        previous: The hook that was installed before.
        default: Python's own hook. It prints everything, so an exception without a study is passed
            to ``previous`` only if that is another hook.
    """

    def __init__(self, previous: Callable[[Any], object], default: Callable[[Any], object]) -> None:
        self._previous = previous
        self._is_last = previous is default

    def __call__(self, args: Any, /) -> None:
        if not self._records(args):
            self._previous(args)

    def _records(self, args: Any) -> bool:
        error, in_thread = args.exc_value, hasattr(args, "thread")
        study = None if error is None else _study_of(error)
        if error is None or (study is None and not self._is_last):
            return False
        if in_thread and isinstance(error, SystemExit):
            return True  # ends the thread; not a failure
        started = "thread" in (getattr(args, "err_msg", None) or "")
        return record(Raised(error, IN_THREAD if in_thread or started else IN_FINALIZER), study)


def _is_not_recorded(log_record: logging.LogRecord) -> bool:
    """Filter out the log records of uncaught exceptions from Python's own loggers."""
    error = log_record.exc_info[1] if log_record.exc_info else None
    return error is None or not record(Raised(error, _LOGGERS.get(log_record.name, IN_ASYNCIO)))


def _record_collection(phase: str, info: object) -> None:  # noqa: ARG001 - the collector's signature
    _this_thread.collecting = phase == "start"


@contextmanager
def recording_uncaught(unattributed: dict[str, None]) -> Iterator[None]:
    """Record uncaught exceptions while studies run.

    The hooks stay installed for threads that outlive their study and the run: Python would print
    what they raise later. Then exceptions without a study go to the previous hook.

    Args:
        unattributed: Receives, as keys, the loggable texts of exceptions without a known study.
    """
    with _lock:
        _install_hooks()
        _active_runs.append(unattributed)
    try:
        yield
    finally:
        with _lock:
            _active_runs[:] = [each for each in _active_runs if each is not unattributed]


def _install_hooks() -> None:
    if not isinstance(threading.excepthook, _Hook):
        threading.excepthook = _Hook(threading.excepthook, threading.__excepthook__)
    if not isinstance(sys.unraisablehook, _Hook):
        sys.unraisablehook = _Hook(sys.unraisablehook, sys.__unraisablehook__)
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_is_not_recorded)
    if _record_collection not in gc.callbacks:
        gc.callbacks.append(_record_collection)
    if not hasattr(threading.Thread.start, _STARTED_BY):
        threading.Thread.start = _storing_study(threading.Thread.start)  # type: ignore[assignment,method-assign]


def _storing_study(
    start: Callable[[threading.Thread], None],
) -> Callable[[threading.Thread], None]:
    """Return a ``Thread.start`` that also records the study that starts the thread.

    Python has no other place for it: a thread knows neither its parent nor its context variables.
    """

    @wraps(start)
    def recording(self: threading.Thread) -> None:
        vars(self)[_STARTED_BY] = _current_study()
        start(self)

    vars(recording)[_STARTED_BY] = None
    return recording
