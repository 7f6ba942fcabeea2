"""What the charts of a study show, made from the counts of its table ``study_summary``."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from orch_assets.charts.categories import (
    ENTRY_LAGS,
    NO_FORM,
    NOT_SERIOUS,
    QUERY_AGES,
    SERIOUS,
    SEVERAL_FORMS,
    UNKNOWN,
    VISIT_DELAYS,
    Scale,
    categories,
)
from orch_assets.charts.small_cells import Cells, merge_named, merge_ordered

_SERIOUSNESS: Final = (SERIOUS, NOT_SERIOUS, UNKNOWN)
_MOST_SITES: Final = 8
_MOST_MONTHS: Final = 36
_NOT_COUNTED: Final = "not counted yet: run study_summary"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Panel:
    """One chart.

    Attributes:
        title: What is counted, by what.
        series: Name of each series; one for a chart with one series.
        cells: What is shown, from left to right or from top to bottom; small ones merged.
        kind: ``line`` for a sum over time, ``columns``, or ``bars`` for names.
        limit: Smallest count that is shown.
        instead: The text in place of the chart; None if there is something to show.
        note: A text beside the chart; empty for none.
    """

    title: str
    series: tuple[str, ...]
    cells: tuple[Cells, ...]
    kind: str
    limit: int
    instead: str | None = None
    note: str = ""

    def shown(self, count: int) -> str:
        """Return a count as text; without the number if it is small."""
        return f"fewer than {self.limit}" if 0 < count < self.limit else f"{count:,}"


def cell_label(cell: Cells) -> str:
    """Return the label of an ordered cell: the first and the last of its labels."""
    first, last = cell.labels[0], cell.labels[-1]
    if first == last:
        return first
    if first.endswith(" days") and last.endswith(" days") and "over" not in last:
        return f"{first.partition('-')[0]}-{last.partition('-')[2]}"
    return f"{first} to {last}" if last != UNKNOWN else f"{first} or later, or {UNKNOWN}"


def named_label(cell: Cells) -> str:
    """Return the label of a cell of names."""
    return cell.labels[0] if len(cell.labels) == 1 else f"{len(cell.labels)} others"


def panels(counts: Iterable[Row], limit: int) -> tuple[Panel, ...]:
    """Return the six charts of a study.

    Args:
        counts: Rows of the study's table ``study_summary``.
        limit: Smallest count that is shown; see :mod:`orch_assets.charts.small_cells`.
    """
    rows: dict[str, list[Row]] = {}
    for row in counts:
        rows.setdefault(row["measure"], []).append(row)
    # A measure of all releases: no rows are no open queries.
    queries = rows.get("open_queries_by_age", [] if rows else None)
    return (
        _enrolment_by_month(rows.get("enrolled_by_month"), limit),
        _enrolment_by_site(rows.get("enrolled_by_site"), limit),
        _by_category("Open queries by age", QUERY_AGES, queries, limit),
        _adverse_events(rows.get("adverse_events_by_month"), limit),
        _by_category(
            "Overdue visits by days overdue", VISIT_DELAYS, rows.get("overdue_visits_by_age"), limit
        ),
        _by_category(
            "Days from visit to entry", ENTRY_LAGS, rows.get("records_by_entry_lag"), limit
        ),
    )


def _enrolment_by_month(rows: Sequence[Row] | None, limit: int) -> Panel:
    cells = _by_month(rows or [], ("enrolled",))
    return _panel("Enrolled subjects", "line", rows, merge_ordered(cells, limit), limit)


def _enrolment_by_site(rows: Sequence[Row] | None, limit: int) -> Panel:
    cells = [Cells((row["site_name"],), (row["count"],)) for row in rows or []]
    merged = merge_named(cells, limit, most=_MOST_SITES)
    return _panel("Enrolled subjects by site", "bars", rows, merged, limit)


def _by_category(title: str, scale: Scale, rows: Sequence[Row] | None, limit: int) -> Panel:
    counts = {row["category"]: row["count"] for row in rows or []}
    cells = [Cells((each,), (counts.get(each, 0),)) for each in categories(scale)]
    if unknown := counts.get(UNKNOWN):
        cells.append(Cells((UNKNOWN,), (unknown,)))
    return _panel(title, "columns", rows, merge_ordered(cells, limit), limit)


def _adverse_events(rows: Sequence[Row] | None, limit: int) -> Panel:
    """Return the chart of adverse events, its series merged before its months are.

    If most months would have to be merged for the sake of rare events, the months are shown
    without the seriousness, and the seriousness without the months.
    """
    title = "Adverse events by month"
    reason = {NO_FORM: "no adverse events form", SEVERAL_FORMS: "several adverse events forms"}
    for row in rows or []:
        if row["category"] in reason:
            return Panel(title, (), (), "columns", limit, reason[row["category"]])
    totals = [
        Cells((each,), (sum(row["count"] for row in rows or [] if row["category"] == each),))
        for each in _SERIOUSNESS
    ]
    series = merge_named([each for each in totals if each.total], limit)
    series.sort(key=lambda each: _SERIOUSNESS.index(each.labels[0]))
    names = tuple(" or ".join(each.labels) for each in series)
    by_both = merge_ordered(_by_month(rows or [], *(each.labels for each in series)), limit)
    by_month = merge_ordered(_by_month(rows or [], _SERIOUSNESS), limit)
    if 2 * len(by_both) >= len(by_month):
        return _panel(title, "columns", rows, by_both, limit, names)
    panel = _panel(title, "columns", rows, by_month, limit)
    counts = (f"{each.total:,} {name}" for name, each in zip(names, series, strict=True))
    return replace(panel, note=", ".join(counts))


def _panel(
    title: str,
    kind: str,
    rows: Sequence[Row] | None,
    cells: Sequence[Cells],
    limit: int,
    series: tuple[str, ...] = ("",),
) -> Panel:
    total = sum(cell.total for cell in cells)
    instead = None
    if rows is None:
        instead = _NOT_COUNTED
    elif total < limit:
        instead = f"fewer than {limit}" if total else "none"
    return Panel(title, series, () if instead else tuple(cells), kind, limit, instead)


def _by_month(rows: Sequence[Row], *series: Sequence[str]) -> list[Cells]:
    """Return a cell for each month from the first to the last, one earlier and one unknown."""
    counts: dict[str, list[int]] = {}
    for row in rows:
        place = next((n for n, each in enumerate(series) if row["category"] in each), None)
        if place is not None:
            counts.setdefault(row["month"], [0] * len(series))[place] += row["count"]
    unknown = counts.pop(UNKNOWN, None)
    cells = [
        Cells((month,), tuple(counts.get(month, [0] * len(series)))) for month in _span(counts)
    ]
    earlier = [Cells((month,), tuple(counts[month])) for month in sorted(counts)]
    earlier = [each for each in earlier if cells and each.labels < cells[0].labels]
    if earlier:
        cells[0] = sum([*earlier[1:], cells[0]], earlier[0])
    if unknown:
        cells.append(Cells((UNKNOWN,), tuple(unknown)))
    return cells


def _span(months: Iterable[str]) -> list[str]:
    """Return every month from the first to the last, at most the last 36."""
    numbers = [12 * int(month[:4]) + int(month[5:]) - 1 for month in months]
    if not numbers:
        return []
    first, last = min(numbers), max(numbers)
    first = max(first, last - _MOST_MONTHS + 1)
    return [f"{number // 12:04}-{number % 12 + 1:02}" for number in range(first, last + 1)]
