"""What came of one study: the result that callers see, and the failure behind it."""

import re
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final, TypedDict

from orch_assets.errors import OrchAssetsError
from orch_assets.marked_names import with_known_names
from orch_assets.orchestration.reporting.exception_sources import (
    frames_of,
    is_ours,
    place_of,
    traceback_of,
    written_type_name,
)
from orch_assets.orchestration.reporting.known_names import (
    KnownNames,
    current_known_names,
    file_of,
    names_known_to,
)

SUCCESS: Final = "SUCCESS"
FAILED: Final = "FAILED"

# First words of the error of a study that ended early, where an exception's type stands otherwise.
TIMEOUT: Final = "Timeout"
CANCELLED: Final = "Cancelled"
UPSTREAM_FAILED: Final = "UpstreamFailed"


# Type, explanation and place.
_LOGGABLE: Final = re.compile(
    r"([^\s:(]+)(?:: (.*?))?(?: \(at ([^()]+(?:\(.*\))?[^()]*)\))?", re.DOTALL
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
        kind: the exception's type, or ``Timeout``, ``Cancelled``, ``UpstreamFailed``. Where its
            name may be made of data, the nearest type above it.
        message: the exception's own text. It may hold data values: for the caller's eyes only.
        place: where it was raised (``labs.py:32 in labs``); empty when nothing was raised.
        explanation: what may be logged of it: our own words, or a name that can't be data; empty
            when there is neither.
        trace: the whole traceback as text; as confidential as the message.
        type_name: the exception's type, whatever its name is made of; empty where ``kind`` says it.
    """

    kind: str
    message: str = ""
    place: str = ""
    explanation: str = ""
    trace: str = ""
    type_name: str = ""

    @classmethod
    def from_loggable(cls, text: str) -> "Failure":
        """Return what :attr:`loggable` has told, without the message and the trace."""
        found = _LOGGABLE.fullmatch(text)
        if found is None:
            return cls(kind=text)
        return cls(kind=found[1], explanation=found[2] or "", place=found[3] or "")

    @property
    def full_kind(self) -> str:
        """The exception's own type, as confidential as the message."""
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
    message, kind = _text(error), type(error).__name__
    known = _known_to(function)
    return Failure(
        kind=kind if show_all else _told(written_type_name, type(error), known) or "Exception",
        message=message,
        place=_encodable(_told(place_of, error, _told(file_of, function))),
        explanation=message if show_all else _encodable(_told(_explanation, error, known)),
        trace=_trace(error),
        type_name=kind,
    )


def _known_to(function: Callable[..., Any] | None) -> KnownNames:
    try:
        return current_known_names() or names_known_to(function)
    except BaseException:  # noqa: BLE001 - a name less must not hide the failure
        return KnownNames()


def _told(tell: Callable[..., str | None], *about: Any) -> str:
    """Return what may be told of an exception; nothing where its type or loader prevents it."""
    try:
        return tell(*about) or ""
    except BaseException:  # noqa: BLE001 - as above
        return ""


def _explanation(error: BaseException, known: KnownNames) -> str:
    """Return our own words, with names that are known; else the name that was looked for."""
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
    """Return a text that UTF-8 has: half a character would keep the report from being written."""
    return text.encode("utf-8", "backslashreplace").decode()


def _trace(error: BaseException) -> str:
    try:
        lines = traceback.format_exception(type(error), error, traceback_of(error))
        return _encodable("".join(lines))
    except BaseException:  # noqa: BLE001 - as above: the stack alone, then
        # Not format_tb: for its carets it parses source, which fails in CPython 3.11 now and then
        # when another thread parses too.
        codes = [(frame.f_code, line) for frame, line in frames_of(error)]
        lines = [f"{code.co_filename}:{line} in {code.co_name}\n" for code, line in codes]
        return _encodable("".join(lines))


FAILURE_MARK: Final = "✗"

_SHOWN_STUDIES: Final = 200


@dataclass(frozen=True)
class MatrixEntry:
    """The newest result of one pipeline for one study.

    Attributes:
        study_key: the study.
        pipeline: the pipeline.
        status: ``SUCCESS`` or ``FAILED``.
        data: the result's numbers as JSON text; None for a failure or an artifact alone.
        error: as it may be logged; None for a success.
        duration_seconds: the study's own working time; None where the run ended before it did.
        rows: of the table; None without one.
        uri: of the artifact; None without one.
        sha256: of the artifact's bytes; None without one.
        run_id: the Dagster run.
        finished_at: when the result was recorded, UTC.
        event_id: the event log's own order of results.
    """

    study_key: str
    pipeline: str
    status: str
    data: str | None
    error: str | None
    duration_seconds: float | None
    rows: int | None
    uri: str | None
    sha256: str | None
    run_id: str
    finished_at: datetime
    event_id: int


COLUMNS: Final = tuple(field.name for field in fields(MatrixEntry))


def newest(
    entries: Iterable[MatrixEntry], study_keys: Sequence[str], pipelines: Sequence[str]
) -> list[MatrixEntry]:
    """Return the newest entry of each study and pipeline, in the order of those two."""
    latest: dict[tuple[str, str], MatrixEntry] = {}
    for entry in entries:
        place = (entry.study_key, entry.pipeline)
        if place not in latest or latest[place].event_id < entry.event_id:
            latest[place] = entry
    return [
        latest[study_key, pipeline]
        for study_key in study_keys
        for pipeline in pipelines
        if (study_key, pipeline) in latest
    ]


def as_columns(entries: Sequence[MatrixEntry]) -> dict[str, list[Any]]:
    """Return the entries by column, for a table."""
    rows = [asdict(entry) for entry in entries]
    return {name: [row[name] for row in rows] for name in COLUMNS}


def as_grid(entries: Iterable[MatrixEntry]) -> dict[str, dict[str, str]]:
    """Return a short text for each study and pipeline that has a result: its rows, or ``✗``."""
    grid: dict[str, dict[str, str]] = {}
    for entry in entries:
        grid.setdefault(entry.study_key, {})[entry.pipeline] = _cell(entry)
    return grid


def _cell(entry: MatrixEntry) -> str:
    if entry.status != SUCCESS:
        return FAILURE_MARK
    return "ok" if entry.rows is None else f"{entry.rows:,}"


def failures(entries: Iterable[MatrixEntry]) -> dict[str, str]:
    """Return each failed study's pipelines, with the kind of their errors, as one line."""
    lines: dict[str, list[str]] = {}
    for entry in entries:
        if entry.status == FAILED:
            kind = (entry.error or FAILED).partition(":")[0].partition(" (at ")[0]
            lines.setdefault(entry.study_key, []).append(f"{entry.pipeline} {kind}")
    return {study_key: ", ".join(line) for study_key, line in lines.items()}


def as_markdown(entries: Sequence[MatrixEntry], pipelines: Sequence[str]) -> str:
    """Return the matrix in Markdown: failed studies first, at most 200, their errors below."""
    grid, failed = as_grid(entries), failures(entries)
    shown = sorted(grid, key=lambda study: study not in failed)[:_SHOWN_STUDIES]
    lines = [
        "| study | " + " | ".join(pipelines) + " |",
        "|---|" + "---:|" * len(pipelines),
    ]
    for study in shown:
        cells = " | ".join(grid[study].get(pipeline, "") for pipeline in pipelines)
        lines.append(f"| {study} | {cells} |")
    lines.append("")
    if len(grid) > len(shown):
        lines.append(f"{len(grid) - len(shown)} more studies are in the table.\n")
    lines += [f"- **{study}**: {failed[study]}" for study in shown if study in failed]
    return "\n".join(lines)
