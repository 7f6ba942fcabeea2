"""The portfolio as Markdown: the picture, the causes of failures, the oldest results.

Links are relative to an asset's or a run's page, the two places where Dagster shows a result's
Markdown, so that they also work if the UI is served under a path.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from orch_assets.orchestration.reporting.failed_results import causes_of_entries
from orch_assets.orchestration.reporting.failure_summary import Cause
from orch_assets.orchestration.reporting.matrix import MatrixEntry, left_out
from orch_assets.orchestration.reporting.matrix_picture import matrix_svg
from orch_assets.orchestration.reporting.portfolio import Portfolio

# The page is part of an event: about 20 KB for 50 studies and 20 pipelines.
_CELLS: Final = 1200
_CAUSES: Final = 10
_OLDEST: Final = 10

_MARKUP: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$-])")


def portfolio_page(portfolio: Portfolio) -> str:
    """Return the page of a portfolio; studies for which there is no room are counted."""
    limit = max(1, _CELLS // max(1, len(portfolio.pipelines)))
    shown = portfolio.worst_first[:limit]
    moment = portfolio.now.strftime("%Y-%m-%d %H:%M UTC")
    parts = [f"**{portfolio.summary}** ({moment})", portfolio.legend, _picture(portfolio, shown)]
    if len(portfolio.rows) > len(shown):
        parts.append(left_out(len(portfolio.rows) - len(shown)))
    parts += _causes(portfolio.entries)
    parts += _oldest(portfolio)
    return "\n\n".join(parts) + "\n"


def _picture(portfolio: Portfolio, shown: Sequence[str]) -> str:
    svg = b64encode(matrix_svg(portfolio, shown).encode()).decode()
    return f"![{portfolio.summary}](data:image/svg+xml;base64,{svg})"


def _causes(entries: Sequence[MatrixEntry]) -> list[str]:
    causes, missing = causes_of_entries(entries)
    lines = [*map(_cause, causes[:_CAUSES])]
    if causes[_CAUSES:]:
        more = len(causes) - _CAUSES
        are = "cause is" if more == 1 else "causes are"
        lines.append(f"{more} more {are} not shown here: see `orch-assets results`.")
    lines += missing
    return ["### Why studies failed", *lines] if lines else []


def _cause(cause: Cause) -> str:
    lines = [f"- {_plain(cause.text)}", _plain(cause.of_studies), _plain(cause.of_pipelines)]
    if cause.report:
        label, uri = cause.report
        lines.append(f"{label}: {_plain(uri)}")
    if run_id := cause.newest_run:
        lines.append(f"[newest run {run_id[:8]}](../runs/{quote(run_id)})")
    return "\n  - ".join(lines)


def _oldest(portfolio: Portfolio) -> list[str]:
    oldest = portfolio.oldest(_OLDEST)
    if not oldest:
        return []
    lines = ["| study | pipeline | last success | age |", "|---|---|---|---:|"]
    for entry in oldest:
        link = f"../assets/{quote(entry.pipeline)}?view=partitions&partition="
        study = f"[{_plain(entry.study_key)}]({link}{quote(entry.study_key, safe='')})"
        moment = entry.succeeded_at.strftime("%Y-%m-%d %H:%M") if entry.succeeded_at else ""
        age = portfolio.age(entry.study_key, entry.pipeline)
        lines.append(f"| {study} | {_plain(entry.pipeline)} | {moment} | {age} |")
    return ["### Oldest results", "\n".join(lines)]


def _plain(text: str) -> str:
    """Return text in which Markdown finds no markup."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))
