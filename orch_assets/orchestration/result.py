"""What came of one study: the result that callers see, and the failure behind it."""

import sysconfig
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final, TypedDict

from orch_assets.errors import OrchAssetsError
from orch_assets.orchestration.known_names import names_known_to

SUCCESS: Final = "SUCCESS"
FAILED: Final = "FAILED"

# First words of the error of a study that ended early, where an exception's type stands otherwise.
TIMEOUT: Final = "Timeout"
CANCELLED: Final = "Cancelled"
UPSTREAM_FAILED: Final = "UpstreamFailed"

_PACKAGE: Final = Path(__file__).parent.parent
_PIPELINES: Final = _PACKAGE / "pipelines"  # shipped or the user's: their texts may quote data

# A traceback ends deep in pandas or json; the line to look at is the last one outside of those.
_LIBRARIES = (
    "<frozen ",  # the import of modules
    *(path for name in ("stdlib", "purelib", "platlib") if (path := sysconfig.get_path(name))),
)


class OrchestratorResult(TypedDict):
    """What came of one study. All four keys are always there.

    Attributes:
        status: ``SUCCESS`` or ``FAILED``.
        data: what the pipeline returned; None for a failure.
        error: None for a success, else ``<type>: <message>``; the type is the exception's, or
            ``Timeout``, ``Cancelled`` or ``UpstreamFailed``.
        duration_seconds: the study's own working time, without its wait for a worker.
    """

    status: str
    data: Any
    error: str | None
    duration_seconds: float


@dataclass(frozen=True)
class Failure:
    """Why a study failed, in what may be logged and what may not.

    Attributes:
        kind: the exception's type, or ``Timeout``, ``Cancelled``, ``UpstreamFailed``.
        message: the exception's own text. It may hold data values: for the caller's eyes only.
        place: where it was raised (``labs.py:32 in labs``); empty when nothing was raised.
        explanation: what may be logged of it: our own words, or a name that can't be data; empty
            when there is neither.
        trace: the whole traceback as text; as confidential as the message.
    """

    kind: str
    message: str = ""
    place: str = ""
    explanation: str = ""
    trace: str = ""

    @property
    def error(self) -> str:
        """The text for an ``OrchestratorResult``; begins with the kind."""
        return f"{self.kind}: {self.message}" if self.message else self.kind

    @property
    def loggable(self) -> str:
        """The text for logs and events: kind, explanation and place, no data values."""
        text = f"{self.kind}: {self.explanation}" if self.explanation else self.kind
        return f"{text} (at {self.place})" if self.place else text


def early_end(kind: str, explanation: str) -> Failure:
    """Return the failure of a study that ended early, in our own words."""
    return Failure(kind=kind, message=explanation, explanation=explanation)


def describe_failure(
    error: BaseException,
    function: Callable[..., Any] | None = None,
    *,
    show_all: bool = False,
) -> Failure:
    """Return what is known of an exception; never raises, whatever its ``str`` does.

    The text of an error that this package raises is ours and may be logged; every other
    exception's text may quote the data it failed on, and may not. What it may tell is the name
    that was looked for in vain, where that name can't be data.

    Args:
        error: the exception.
        function: the pipeline that failed: the names in its source file can't be data.
        show_all: whether every text may be logged, since all data is made up.
    """
    message = _text(error)
    return Failure(
        kind=type(error).__name__,
        message=message,
        place=_place(error),
        explanation=message if show_all or _is_ours(error) else _name(error, function),
        trace=_trace(error),
    )


def _name(error: BaseException, function: Callable[..., Any] | None) -> str:
    try:
        name = names_known_to(function).name_in(error) if function else None
    except BaseException:  # noqa: BLE001 - a name less must not hide the failure
        name = None
    return "" if name is None else repr(name)


def _is_ours(error: BaseException) -> bool:
    """Whether the text of an error is this package's: a pipeline may raise our classes, too."""
    if not isinstance(error, OrchAssetsError):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return False
    raised_in = Path(frames[-1].filename)
    return raised_in.is_relative_to(_PACKAGE) and not raised_in.is_relative_to(_PIPELINES)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - a broken __str__ must not hide the failure
        return "(the exception has no readable text)"


def _place(error: BaseException) -> str:
    frames = _frames(error)
    own = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)]
    if not frames:
        return ""
    last = (own or frames)[-1]
    return f"{PurePath(last.filename).name}:{last.lineno} in {last.name}"


def _trace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except BaseException:  # noqa: BLE001 - as above: the stack alone, then
        # Not format_tb: for its carets it parses source, which fails in CPython 3.11 now and then
        # when another thread parses too.
        return "".join(f"{each.filename}:{each.lineno} in {each.name}\n" for each in _frames(error))


def _frames(error: BaseException) -> Sequence[traceback.FrameSummary]:
    try:
        return traceback.extract_tb(error.__traceback__)
    except BaseException:  # noqa: BLE001 - as above: a module's loader may refuse its source
        return ()
