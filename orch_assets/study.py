"""Study keys, and the context, logger and publishing lease of a running study.

The *lease* is a study's right to publish. A timeout or a cancellation revokes it. Stores publish
inside :func:`publishing`, so a cancelled study can't change an artifact afterwards, however long
its thread goes on running. The same applies to a study with an uncaught exception in one of its
threads or finalizers.
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
from orch_assets.run_guard import require_run

P = ParamSpec("P")
T = TypeVar("T")

MAX_KEY_LENGTH = 100
# An escaped key is one part of an artifact's path, and a part may have 240 bytes. The other 40 are
# for the suffix of the path that encodes the upper and lower case of an asset's letters.
MAX_STORED_BYTES = 200
_UNESCAPED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.=-")

# A partition key in Dagster can't contain these: "/" nests paths, "|" joins multi-partitions,
# "," splits a backfill's list in the UI, "..." is a range on the command line.
_NOT_IN_PARTITION_KEYS = ("/", "|", ",", "...")


def check_study_key(study_key: object) -> str:
    """Return a valid study key unchanged.

    Raises:
        StudyKeyError: The key is not text, is empty, ``.`` or ``..``, begins or ends with white
            space, is longer than 100 characters, takes more than 200 bytes in the names of stored
            artifacts, or contains a control character, a lone surrogate or one of ``/ | , ...``.
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
    for text in _NOT_IN_PARTITION_KEYS:
        if text in study_key:
            raise StudyKeyError(study_key, f"holds {text!r}, which no partition key can carry")
    if (size := _size_in_path(study_key)) > MAX_STORED_BYTES:
        raise StudyKeyError(
            study_key,
            f"takes {size} bytes in the names of its artifacts; at most {MAX_STORED_BYTES} are "
            "possible, and characters other than letters from A to Z and digits take from 3 to 12",
        )
    return study_key


def _size_in_path(study_key: str) -> int:
    """Return a key's maximum size in a path: escaped, plus a bit for the case of each letter."""
    letters = sum(character.isascii() and character.isalpha() for character in study_key)
    # A percent sign may be escaped twice: it becomes "%25", whose "%" is escaped again.
    sizes = (
        1 if character in _UNESCAPED else 5 if character == "%" else 3 * len(character.encode())
        for character in study_key
    )
    return sum(sizes) + letters // 4


class PublishingLease:
    """A study's right to publish, which can be revoked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._revoked = threading.Event()

    @property
    def revoked(self) -> bool:
        """Whether the lease was revoked."""
        return self._revoked.is_set()

    def revoke(self, within: float = 10.0) -> None:
        """Revoke the lease: no commit begins after this returns.

        A commit is one rename or one PUT. This waits for a commit in progress, so that the lease is
        revoked either before or after it, never during it.

        Args:
            within: Seconds to wait for a commit in progress.
        """
        locked = self._lock.acquire(timeout=within)
        self._revoked.set()
        if locked:
            self._lock.release()

    @contextlib.contextmanager
    def commit(self, study_key: str) -> Iterator[None]:
        """Hold the lease during one commit.

        Raises:
            StudyCancelledError: The lease was revoked.
        """
        with self._lock:
            if self._revoked.is_set():
                raise StudyCancelledError(study_key)
            yield


# Uncaught exceptions are held until the end of the attempt, with all objects of their frames.
_MAX_UNCAUGHT = 100


class Raised(NamedTuple):
    """An exception, and where Python reported it.

    Attributes:
        error: The exception.
        where: Where Python reported it; empty if the pipeline itself raised it.
    """

    error: BaseException
    where: str = ""


class UncaughtErrors:
    """The exceptions of one attempt of a study that its pipeline can't catch.

    They are raised in threads, finalizers and callbacks.
    """

    def __init__(self) -> None:
        # Reentrant: a finalizer may run, and fail, while this thread holds the lock.
        self._lock = threading.RLock()
        self._raised: list[Raised] = []
        self._ended = False

    def __bool__(self) -> bool:
        return bool(self._raised)

    def note(self, raised: Raised) -> bool:
        """Record an exception; return False if the attempt has already ended."""
        with self._lock:
            if not self._ended and len(self._raised) < _MAX_UNCAUGHT:
                self._raised.append(raised)
            return not self._ended

    def end(self) -> list[Raised]:
        """End the attempt, and return its exceptions in order."""
        with self._lock:
            self._ended = True
            raised, self._raised = self._raised, []
            return raised


@dataclass(frozen=True)
class StudyContext:
    """The study that the calling code runs for.

    Attributes:
        study_key: Key of the study.
        provenance: The origin of what the study publishes, as text (run, pipeline, code version,
            registry, …). It is written to the manifest of everything published in this context.
            It holds no data values and no API keys.
        lease: The study's right to publish.
        uncaught: Collects the exceptions of its threads and finalizers; None to collect none.
    """

    study_key: str
    provenance: Mapping[str, str] = field(default_factory=dict)
    lease: PublishingLease = field(default_factory=PublishingLease)
    uncaught: UncaughtErrors | None = None


_current: ContextVar[StudyContext | None] = ContextVar("orch_assets_study", default=None)


def current_context() -> StudyContext | None:
    """Return the context of the running study; None outside a study's context."""
    return _current.get()


def study_in(context: Context) -> StudyContext | None:
    """Return the study of these context variables; None if they have none."""
    return context.get(_current)


def get_current_study() -> str | None:
    """Return the key of the running study; None outside a study's context."""
    context = _current.get()
    return context.study_key if context else None


def current_run() -> str | None:
    """Return the ID of the run that the study runs in; None outside a run."""
    context = _current.get()
    return context.provenance.get("run") if context else None


@contextlib.contextmanager
def study_context(
    study_key: str,
    *,
    provenance: Mapping[str, str] | None = None,
    lease: PublishingLease | None = None,
    uncaught: UncaughtErrors | None = None,
) -> Iterator[StudyContext]:
    """Run the block for one study: inside it, ``get_current_study()`` returns the study's key.

    Args:
        study_key: Key of the study.
        provenance: The origin of what is published in the block, for its manifests.
        lease: The right to publish; a new one by default.
        uncaught: Collects the exceptions of the study's threads and finalizers.

    Raises:
        StudyKeyError: The study key is invalid.

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
    """Hold the running study's lease during one commit. Outside a study, there is no lease.

    In a cluster, this first makes sure that the run hasn't ended for all others.

    Raises:
        StudyCancelledError: The study timed out or was cancelled, so the commit must not happen.
        UncaughtFailureError: One of the study's threads or finalizers failed; likewise.
    """
    require_run()
    context = _current.get()
    if context is None:
        yield
        return
    if context.uncaught:
        raise UncaughtFailureError(context.study_key)
    with context.lease.commit(context.study_key):
        yield


def in_study_context(function: Callable[P, T]) -> Callable[P, T]:
    """Wrap a function for threads that a pipeline starts, so that they run for the same study.

    A new thread starts without context variables. The wrapped function runs in those of the code
    that called ``in_study_context``: ``get_current_study()`` returns the study, a cancelled study
    can't publish, and OpenTelemetry spans have their parent. Several threads may call it at once.

    An uncaught exception in such a thread fails the study. A future of an executor catches the
    exception, so call ``result()`` on every future.

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
    """Return the study of the ``in_study_context`` function that raised an exception.

    When Python reports the exception, the thread has already left the study's context variables.
    """
    for frame, _ in walk_tb(error.__traceback__):
        if frame.f_code is _run_in.__code__:
            return study_in(frame.f_locals["context"])
    return None


class StudyContextLogAdapter(logging.LoggerAdapter[logging.Logger]):
    """A logger that adds the study to its records, as ``study_key`` and ``studyKey``.

    The caller's own ``extra`` is retained.
    """

    def __init__(self, logger: logging.Logger, study_key: str) -> None:
        super().__init__(logger, {"study_key": study_key, "studyKey": study_key})
        self._study_key = study_key

    @property
    def study_key(self) -> str:
        """Key of the study that this logger is bound to."""
        return self._study_key

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the study to the ``extra`` of the record."""
        return msg, {**kwargs, "extra": {**(kwargs.get("extra") or {}), **(self.extra or {})}}


def make_study_logger(study_key: str) -> StudyContextLogAdapter:
    """Return a logger that is bound to a study and writes to the logger ``orch_assets.study``."""
    return StudyContextLogAdapter(logging.getLogger("orch_assets.study"), study_key)
