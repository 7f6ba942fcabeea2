"""The matrix: the newest result of each study and pipeline, and the table of row counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Final

from orch_assets.orchestration.durations import age_hours
from orch_assets.orchestration.reporting.results import FAILED, SUCCESS
from orch_assets.refreshing import CARRIED_FORWARD, READ_WHOLE, RowChanges

FAILURE_MARK: Final = "✗"
SKIPPED_MARK: Final = "–"

# Markdown is part of an event, so it has at most this many studies, and cells.
_SHOWN_STUDIES: Final = 200
_SHOWN_CELLS: Final = 1200


@dataclass(frozen=True)
class MatrixEntry:
    """The newest result of one pipeline for one study.

    Attributes:
        study_key: The study.
        pipeline: The pipeline.
        status: ``SUCCESS`` or ``FAILED``.
        data: The result's numbers as JSON text; None for a failure or if there is only an artifact.
        error: The loggable error; None for a success.
        duration_seconds: The study's own working time; None if the run ended before the study did.
        rows: Number of rows of the table; None without a table.
        uri: URI of the artifact; None without an artifact.
        sha256: Hash of the artifact's bytes; None without an artifact.
        run_id: ID of the Dagster run.
        finished_at: When the result was recorded, UTC: first, if a resumed run carried it forward.
        event_id: ID of the event; a later result has a higher ID.
        refresh: How the result was refreshed: ``counted``, ``read whole``, ``appended`` or
            ``carried forward``. None for results that are always made anew, and for those of
            earlier releases.
        rows_new: Rows that the result before lacks; None, as for the next four, if not counted.
        rows_changed: Rows that changed, including those that were marked as deleted. Also None if
            the table changed without a change of dates.
        rows_deleted: Rows that were marked as deleted.
        rows_vanished: Rows that iMednet no longer returns.
        requests_saved: Requests that reading the whole table would have taken beyond those made.
        skipped: Why the pipeline left the study out; None if it has a real result.
        succeeded_at: When the last real result was recorded, UTC, even if later runs failed. None
            if there is none, or if the study was left out since.
        age_hours: Hours from ``succeeded_at`` to the moment when the table was made, with one
            decimal.
        failure_report: URI of the failure report; None without one.
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
    refresh: str | None = None
    rows_new: int | None = None
    rows_changed: int | None = None
    rows_deleted: int | None = None
    rows_vanished: int | None = None
    requests_saved: int | None = None
    skipped: str | None = None
    succeeded_at: datetime | None = None
    age_hours: float | None = None
    failure_report: str | None = None

    @property
    def last_success(self) -> datetime | None:
        """When the last real result was recorded: this one, or an earlier one."""
        if self.status != SUCCESS:
            return self.succeeded_at
        return None if self.skipped is not None else self.finished_at

    @property
    def changes(self) -> str | None:
        """How the rows differ from the result before: ``+12 ~3``, or ``=`` if they don't.

        There may be a third number: removed rows. ``~`` alone is an unknown number of changed rows.
        None for a failure, for a first result, and if the rows were not compared.
        """
        if self.refresh == CARRIED_FORWARD:
            return "="
        if self.rows_new is None or self.status != SUCCESS or self._is_first:
            return None
        if self.rows_changed is None:
            return " ".join([*self._counted, "~"])
        return " ".join(self._counted) or "="

    @property
    def _is_first(self) -> bool:
        return self.refresh == READ_WHOLE and self.rows_new == self.rows

    @property
    def _counted(self) -> list[str]:
        counts = (self.rows_new, self.rows_changed, self.rows_deleted, self.rows_vanished)
        new, changed, deleted, vanished = (count or 0 for count in counts)
        found = RowChanges(new=new, changed=changed, deleted=deleted, vanished=vanished)
        return [part for part in found.text.split() if part[1:] != "0"]


COLUMNS: Final = tuple(field.name for field in fields(MatrixEntry))


def newest(
    entries: Iterable[MatrixEntry], study_keys: Sequence[str], pipelines: Sequence[str]
) -> list[MatrixEntry]:
    """Return the newest entry of each study and pipeline, in the order of the two arguments.

    A failure has the moment of the last success among the entries before it.
    """
    latest: dict[tuple[str, str], MatrixEntry] = {}
    succeeded: dict[tuple[str, str], MatrixEntry] = {}
    for entry in entries:
        key = (entry.study_key, entry.pipeline)
        if key not in latest or latest[key].event_id < entry.event_id:
            latest[key] = entry
        if entry.status == SUCCESS or entry.succeeded_at is not None:
            before = succeeded.get(key)
            if before is None or before.event_id < entry.event_id:
                succeeded[key] = entry
    return [
        _with_last_success(latest[key], succeeded.get(key))
        for key in ((study_key, pipeline) for study_key in study_keys for pipeline in pipelines)
        if key in latest
    ]


def _with_last_success(entry: MatrixEntry, succeeded: MatrixEntry | None) -> MatrixEntry:
    at = (entry if succeeded is None else succeeded).last_success
    return entry if entry.succeeded_at == at else replace(entry, succeeded_at=at)


def with_ages(entries: Iterable[MatrixEntry], now: datetime) -> list[MatrixEntry]:
    """Return the entries with the age of their last success at a moment, in hours."""
    return [
        entry
        if entry.succeeded_at is None
        else replace(entry, age_hours=age_hours(entry.succeeded_at, now))
        for entry in entries
    ]


def as_columns(entries: Sequence[MatrixEntry]) -> dict[str, list[Any]]:
    """Return the entries as columns of a table."""
    return {name: [getattr(entry, name) for entry in entries] for name in COLUMNS}


def as_grid(entries: Iterable[MatrixEntry], *, brief: bool = False) -> dict[str, dict[str, str]]:
    """Return a cell for each study and pipeline with a result.

    It has the row count, ``ok``, ``✗`` or ``–``, and then :attr:`MatrixEntry.changes`.

    Args:
        entries: The results.
        brief: Where rows were compared, show only the changes.
    """
    grid: dict[str, dict[str, str]] = {}
    for entry in entries:
        grid.setdefault(entry.study_key, {})[entry.pipeline] = _cell(entry, brief=brief)
    return grid


def as_symbols(entries: Iterable[MatrixEntry]) -> dict[str, dict[str, str]]:
    """Return a symbol for each study and pipeline with a result.

    It is ``✗``, ``–``, ``=`` (unchanged), ``~`` (changed) or ``✓`` (not compared).
    """
    grid: dict[str, dict[str, str]] = {}
    for entry in entries:
        grid.setdefault(entry.study_key, {})[entry.pipeline] = _symbol(entry)
    return grid


def _symbol(entry: MatrixEntry) -> str:
    if entry.status != SUCCESS or entry.skipped is not None:
        return _cell(entry, brief=True)
    if entry.changes is None:
        return "✓"
    return "=" if entry.changes == "=" else "~"


def _cell(entry: MatrixEntry, *, brief: bool) -> str:
    if entry.status != SUCCESS:
        return FAILURE_MARK
    if entry.skipped is not None:
        return SKIPPED_MARK
    rows = "ok" if entry.rows is None else f"{entry.rows:,}"
    if entry.changes is None:
        return rows
    return entry.changes if brief else f"{rows} {entry.changes}"


def failures(entries: Iterable[MatrixEntry]) -> dict[str, str]:
    """Return a line for each failed study: its failed pipelines with the types of their errors."""
    lines: dict[str, list[str]] = {}
    for entry in entries:
        if entry.status == FAILED:
            kind = (entry.error or FAILED).partition(":")[0].partition(" (at ")[0]
            lines.setdefault(entry.study_key, []).append(f"{entry.pipeline} {kind}")
    return {study_key: ", ".join(line) for study_key, line in lines.items()}


def as_markdown(entries: Sequence[MatrixEntry], pipelines: Sequence[str]) -> str:
    """Return the matrix in Markdown: at most 200 studies, failed ones first, errors below.

    It has at most 1,200 cells, and says how many studies it leaves out.
    """
    grid, failed = as_grid(entries), failures(entries)
    limit = min(_SHOWN_STUDIES, max(1, _SHOWN_CELLS // max(1, len(pipelines))))
    shown = sorted(grid, key=lambda study: study not in failed)[:limit]
    lines = [
        "| study | " + " | ".join(pipelines) + " |",
        "|---|" + "---:|" * len(pipelines),
    ]
    for study in shown:
        cells = " | ".join(grid[study].get(pipeline, "") for pipeline in pipelines)
        lines.append(f"| {study} | {cells} |")
    lines.append("")
    if len(grid) > len(shown):
        lines.append(f"{left_out(len(grid) - len(shown))}\n")
    lines += [f"- **{study}**: {failed[study]}" for study in shown if study in failed]
    return "\n".join(lines)


def left_out(studies: int) -> str:
    """Return the sentence that says where to see the studies for which there is no room."""
    one = "study is" if studies == 1 else "studies are"
    return (
        f"{studies:,} more {one} not shown here: see `orch-assets results`, or the table "
        "`study_results`."
    )
