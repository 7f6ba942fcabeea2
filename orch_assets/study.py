"""What a study is to every part: the rules of its key, its context, its logger, its lease.

The *lease* is a study's right to publish. Whoever gives a study up (timeout, cancel) revokes it;
whoever publishes does so inside :func:`publishing`, so that a study that was given up can't change
an artifact afterwards, however long its thread lives on. Nor can a study in whose threads or
finalizers something was raised that nobody caught.
"""

import contextlib
import logging
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from functools import wraps
from traceback import walk_tb
from typing import Any, NamedTuple, ParamSpec, TypeVar

from orch_assets.errors import StudyCancelledError, StudyKeyError, UncaughtFailureError

P = ParamSpec("P")
T = TypeVar("T")

MAX_KEY_LENGTH = 100
# A key is a part of an artifact's path, escaped, and 240 bytes are a part. What remains is for the
# case of an asset's letters, which is told at the end of the path.
MAX_STORED_BYTES = 200
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.=-")

# What Dagster can't carry in a partition key: "/" nests paths, "|" joins multi-partitions,
# "," splits a backfill's list in the UI, "..." is a range on the command line.
_UNCARRIABLE = ("/", "|", ",", "...")


def check_study_key(study_key: object) -> str:
    """Return the key as it is, or raise.

    Raises:
        StudyKeyError: it is no text, empty, ``.`` or ``..``, begins or ends with white space, is
            longer than 100 characters, takes over 200 bytes where artifacts are stored, or holds a
            control character, a lone surrogate or one of ``/ | , ...``.
    """
    if not isinstance(study_key, str):
        raise StudyKeyError(study_key, f"is {type(study_key).__name__}, not text")
    if not study_key.strip():
        raise StudyKeyError(study_key, "is empty")
    if study_key in {".", ".."}:
        raise StudyKeyError(study_key, "would be a path of its own")
    if study_key != study_key.strip():
        raise StudyKeyError(study_key, "begins or ends with white space")
    if len(study_key) > MAX_KEY_LENGTH:
        raise StudyKeyError(
            f"{study_key[:MAX_KEY_LENGTH]}…", f"is over {MAX_KEY_LENGTH} characters"
        )
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in study_key):
        raise StudyKeyError(study_key, "holds a control character")
    for text in _UNCARRIABLE:
        if text in study_key:
            raise StudyKeyError(study_key, f"holds {text!r}, which no partition key can carry")
    if (size := _stored_bytes(study_key)) > MAX_STORED_BYTES:
        raise StudyKeyError(
            study_key,
            f"takes {size} bytes in the names of its artifacts; {MAX_STORED_BYTES} are possible, "
            "and characters other than letters from A to Z and digits take from 3 to 12",
        )
    return study_key


def _stored_bytes(study_key: str) -> int:
    """Return how long a key is in a path, at most: escaped, with a bit for each letter's case."""
    letters = sum(character.isascii() and character.isalpha() for character in study_key)
    # A percent sign may come twice: as "%25", then escaped.
    sizes = (
        1 if each in _PLAIN else 5 if each == "%" else 3 * len(each.encode()) for each in study_key
    )
    return sum(sizes) + letters // 4


class PublishingLease:
    """A study's right to publish, until somebody revokes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._revoked = threading.Event()

    @property
    def revoked(self) -> bool:
        """Whether the study was given up."""
        return self._revoked.is_set()

    def revoke(self, within: float = 10.0) -> None:
        """Give the study up: no commit begins after this returns.

        A commit is one rename or one PUT. One that is under way is waited for, so that "given up"
        is decided before or after it, never in between.

        Args:
            within: seconds to wait for a commit that is under way.
        """
        locked = self._lock.acquire(timeout=within)
        self._revoked.set()
        if locked:
            self._lock.release()

    @contextlib.contextmanager
    def commit(self, study_key: str) -> Iterator[None]:
        """Hold the right to publish for the length of one commit.

        Raises:
            StudyCancelledError: the lease was revoked.
        """
        with self._lock:
            if self._revoked.is_set():
                raise StudyCancelledError(study_key)
            yield


# Kept until the try's end, with all that their frames hold.
_MOST_UNCAUGHT = 100


class Raised(NamedTuple):
    """An exception, and where Python reported it; empty where a pipeline raised it itself."""

    error: BaseException
    where: str = ""


class UncaughtErrors:
    """What was raised in one try of a study where its pipeline can't catch it.

    That is in its threads, in finalizers, in callbacks.
    """

    def __init__(self) -> None:
        # A finalizer may run, and fail, in the midst of this code.
        self._lock = threading.RLock()
        self._raised: list[Raised] = []
        self._ended = False

    def __bool__(self) -> bool:
        return bool(self._raised)

    def note(self, raised: Raised) -> bool:
        """Keep an exception for the try's end; False when that was before."""
        with self._lock:
            if not self._ended and len(self._raised) < _MOST_UNCAUGHT:
                self._raised.append(raised)
            return not self._ended

    def end(self) -> list[Raised]:
        """End the try; return what was raised in it, in order."""
        with self._lock:
            self._ended = True
            raised, self._raised = self._raised, []
            return raised


@dataclass(frozen=True)
class StudyContext:
    """The study that the calling code works for.

    Attributes:
        study_key: its key.
        provenance: who publishes: text facts (run, pipeline, code version, registry, …) that go
            into the manifest of whatever is published inside. No data values, no keys.
        lease: its right to publish.
        uncaught: takes what its threads and finalizers raise; None where nobody would ask for it.
    """

    study_key: str
    provenance: Mapping[str, str] = field(default_factory=dict)
    lease: PublishingLease = field(default_factory=PublishingLease)
    uncaught: UncaughtErrors | None = None


_current: ContextVar[StudyContext | None] = ContextVar("orch_assets_study", default=None)


def current_context() -> StudyContext | None:
    """Return the whole context of the study at work here; None outside of one."""
    return _current.get()


def study_in(context: Context) -> StudyContext | None:
    """Return the study that code in these context variables works for."""
    return context.get(_current)


def get_current_study() -> str | None:
    """Return the key of the study at work here; None outside a study's context."""
    context = _current.get()
    return context.study_key if context else None


@contextlib.contextmanager
def study_context(
    study_key: str,
    *,
    provenance: Mapping[str, str] | None = None,
    lease: PublishingLease | None = None,
    uncaught: UncaughtErrors | None = None,
) -> Iterator[StudyContext]:
    """Work for one study: ``get_current_study()`` answers its key inside.

    Args:
        study_key: the study's key; checked.
        provenance: facts for the manifests of what is published inside.
        lease: the right to publish; a fresh one by default.
        uncaught: takes what the study's threads and finalizers raise.

    Example:
        >>> with study_context("ONC-301"):
        ...     get_current_study()
        'ONC-301'
    """
    context = StudyContext(
        check_study_key(study_key), dict(provenance or {}), lease or PublishingLease(), uncaught
    )
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


@contextlib.contextmanager
def publishing() -> Iterator[None]:
    """Hold the current study's right to publish around one commit; free outside a study.

    Raises:
        StudyCancelledError: the study was given up; the commit must not happen.
        UncaughtFailureError: one of its threads or finalizers has failed; likewise.
    """
    context = _current.get()
    if context is None:
        yield
        return
    if context.uncaught:
        raise UncaughtFailureError(context.study_key)
    with context.lease.commit(context.study_key):
        yield


def in_study_context(function: Callable[P, T]) -> Callable[P, T]:
    """Return the function for threads that a pipeline starts: they work for the same study.

    A new thread starts with no context variables. What this returns runs in those of the code
    that called ``in_study_context``: ``get_current_study()`` answers, a study that was given up
    can't publish, and OpenTelemetry's spans have their parent. Many threads may call it at once.

    An exception that nobody catches in such a thread fails the study. One that an executor's future
    holds is yours to ask for: call ``result()`` of every future.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> with study_context("ONC-301"), ThreadPoolExecutor() as pool:
        ...     pool.submit(in_study_context(get_current_study)).result()
        'ONC-301'
    """
    context = copy_context()

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return _run_in(context, function, *args, **kwargs)

    return call


def _run_in(context: Context, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return context.copy().run(function, *args, **kwargs)


def study_behind(error: BaseException) -> StudyContext | None:
    """Return the study of the ``in_study_context`` function that an exception came out of.

    The thread has left the study's context variables when Python asks what to do with it.
    """
    for frame, _ in walk_tb(error.__traceback__):
        if frame.f_code is _run_in.__code__:
            return study_in(frame.f_locals["context"])
    return None


class StudyContextLogAdapter(logging.LoggerAdapter[logging.Logger]):
    """A logger whose records carry their study as ``study_key`` and ``studyKey``.

    The caller's own ``extra`` is kept beside them.
    """

    def __init__(self, logger: logging.Logger, study_key: str) -> None:
        super().__init__(logger, {"study_key": study_key, "studyKey": study_key})
        self._study_key = study_key

    @property
    def study_key(self) -> str:
        """The study that this logger is bound to."""
        return self._study_key

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the study to the record's ``extra``."""
        return msg, {**kwargs, "extra": {**(kwargs.get("extra") or {}), **(self.extra or {})}}


def make_study_logger(study_key: str) -> StudyContextLogAdapter:
    """Return a logger bound to a study, over the logger ``orch_assets.study``."""
    return StudyContextLogAdapter(logging.getLogger("orch_assets.study"), study_key)
