"""Results of studies: the result that callers see, and the failure behind it."""

import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypedDict

from orch_assets.errors import OrchAssetsError
from orch_assets.marked_names import with_known_names
from orch_assets.orchestration.reporting.exception_sources import (
    frames_of,
    is_ours,
    place_of,
    safe_type_name,
    traceback_of,
)
from orch_assets.orchestration.reporting.known_names import (
    KnownNames,
    current_known_names,
    file_of,
    names_known_to,
)

SUCCESS: Final = "SUCCESS"
FAILED: Final = "FAILED"

# First words of the error of a study that ended early, in place of an exception's type.
TIMEOUT: Final = "Timeout"
CANCELLED: Final = "Cancelled"
UPSTREAM_FAILED: Final = "UpstreamFailed"


# The parts of ``Failure.loggable``: type, explanation and place.
_LOGGABLE: Final = re.compile(
    r"([^\s:(]+)(?:: (.*?))?(?: \(at ([^()]+(?:\(.*\))?[^()]*)\))?", re.DOTALL
)


class OrchestratorResult(TypedDict):
    """The result of one study. All four keys are always present.

    Attributes:
        status: ``SUCCESS`` or ``FAILED``.
        data: The pipeline's return value; None for a failure.
        error: None for a success, otherwise ``<type>: <message>``; the type is the exception's, or
            ``Timeout``, ``Cancelled`` or ``UpstreamFailed``.
        duration_seconds: The study's own working time, without its wait for a worker.
    """

    status: str
    data: Any
    error: str | None
    duration_seconds: float


@dataclass(frozen=True)
class Failure:
    """Why a study failed; separates what may be logged from what may not.

    Attributes:
        kind: The exception's type, or ``Timeout``, ``Cancelled``, ``UpstreamFailed``. If the type's
            name may be data, its nearest base class with a safe name.
        message: The exception's own text. It may hold data values: for the caller's eyes only.
        place: Where the exception was raised (``labs.py:32 in labs``); empty if nothing was raised.
        explanation: The loggable explanation: the package's own message, or a name that can't be
            data; empty if there is neither.
        trace: The whole traceback as text; as confidential as the message.
        type_name: The exception's own type, even if its name may be data; empty if ``kind``
            is all that is known.
    """

    kind: str
    message: str = ""
    place: str = ""
    explanation: str = ""
    trace: str = ""
    type_name: str = ""

    @classmethod
    def from_loggable(cls, text: str) -> "Failure":
        """Return the failure that a :attr:`loggable` text describes, without message and trace."""
        match = _LOGGABLE.fullmatch(text)
        if match is None:
            return cls(kind=text)
        return cls(kind=match[1], explanation=match[2] or "", place=match[3] or "")

    @property
    def full_kind(self) -> str:
        """The exception's own type; as confidential as the message."""
        return self.type_name or self.kind

    @property
    def error(self) -> str:
        """The text for an ``OrchestratorResult``; begins with the exception's own type."""
        return f"{self.full_kind}: {self.message}" if self.message else self.full_kind

    @property
    def loggable(self) -> str:
        """The text for logs and events: kind, explanation and place, no data values."""
        text = f"{self.kind}: {self.explanation}" if self.explanation else self.kind
        return f"{text} (at {self.place})" if self.place else text


def early_end(kind: str, explanation: str) -> Failure:
    """Return the failure of a study that ended early without an exception."""
    return Failure(kind=kind, message=explanation, explanation=explanation)


def describe_failure(
    error: BaseException,
    function: Callable[..., Any] | None = None,
    *,
    show_all: bool = False,
) -> Failure:
    """Return the failure of an exception; never raises, even if its ``str`` does.

    The text of an error that this package raises may be logged. Any other exception's text may
    quote the data it failed on and may not be logged; only the name that was not found is, if that
    name can't be data.

    Args:
        error: The exception.
        function: The pipeline that failed; the names in its source file can't be data.
        show_all: Whether every text may be logged because all data is made up.
    """
    message, kind = _text(error), type(error).__name__
    known = _known_to(function)
    return Failure(
        kind=kind if show_all else _try_text(safe_type_name, type(error), known) or "Exception",
        message=message,
        place=_encodable(_try_text(place_of, error, _try_text(file_of, function))),
        explanation=message if show_all else _encodable(_try_text(_explanation, error, known)),
        trace=_trace(error),
        type_name=kind,
    )


def _known_to(function: Callable[..., Any] | None) -> KnownNames:
    try:
        return current_known_names() or names_known_to(function)
    except BaseException:  # noqa: BLE001 - a missing name must not hide the failure
        return KnownNames()


def _try_text(describe: Callable[..., str | None], *args: Any) -> str:
    """Return the function's text; "" if the exception's type or loader makes it raise."""
    try:
        return describe(*args) or ""
    except BaseException:  # noqa: BLE001 - as above
        return ""


def _explanation(error: BaseException, known: KnownNames) -> str:
    """Return the package's own message with known names only, or the name that was not found."""
    if isinstance(error, OrchAssetsError) and is_ours(error):
        return with_known_names(error.marked, known.knows)
    name = known.name_in(error)
    return "" if name is None else repr(name)


def _text(error: BaseException) -> str:
    try:
        return _encodable(str(error))
    except BaseException:  # noqa: BLE001 - a broken __str__ must not hide the failure
        return "(the exception has no readable text)"


def _encodable(text: str) -> str:
    """Return the text encodable as UTF-8: a lone surrogate would prevent writing the report."""
    return text.encode("utf-8", "backslashreplace").decode()


def _trace(error: BaseException) -> str:
    try:
        lines = traceback.format_exception(type(error), error, traceback_of(error))
        return _encodable("".join(lines))
    except BaseException:  # noqa: BLE001 - as above; return the stack alone
        # Not format_tb: to place its carets it parses the source, which occasionally fails in
        # CPython 3.11 when another thread parses too.
        codes = [(frame.f_code, line) for frame, line in frames_of(error)]
        lines = [f"{code.co_filename}:{line} in {code.co_name}\n" for code, line in codes]
        return _encodable("".join(lines))
