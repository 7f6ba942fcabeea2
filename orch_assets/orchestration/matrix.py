"""The matrix of results: the newest one of each study and pipeline."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final

from orch_assets.orchestration.result import FAILED, SUCCESS

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
