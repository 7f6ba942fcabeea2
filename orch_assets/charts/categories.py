"""The categories of the table ``study_summary``: what it counts, and into which groups."""

from collections.abc import Iterable, Sequence
from typing import Final

# Categories that say why a measure has no counts.
NOTHING: Final = "any"
NO_FORM: Final = "no form"
SEVERAL_FORMS: Final = "several forms"

UNKNOWN: Final = "unknown"
SERIOUS: Final = "serious"
NOT_SERIOUS: Final = "not serious"

# Of each, the name and the largest number of days.
QUERY_AGES: Final = ((7, "0-7 days"), (30, "8-30 days"), (90, "31-90 days"))
VISIT_DELAYS: Final = ((7, "1-7 days"), (30, "8-30 days"), (90, "31-90 days"))
ENTRY_LAGS: Final = ((3, "0-3 days"), (7, "4-7 days"), (14, "8-14 days"), (30, "15-30 days"))

Scale = Sequence[tuple[int, str]]


def category(days: int, scale: Scale) -> str:
    """Return the category of a number of days."""
    return next((name for most, name in scale if days <= most), _over(scale))


def categories(scale: Scale) -> tuple[str, ...]:
    """Return all categories of a scale, in order."""
    return (*(name for _, name in scale), _over(scale))


def counts_of_days(days: Iterable[int], scale: Scale) -> dict[str, int]:
    """Return how many of the numbers of days are in each category that has any."""
    counts: dict[str, int] = {}
    for each in days:
        name = category(each, scale)
        counts[name] = counts.get(name, 0) + 1
    return counts


def _over(scale: Scale) -> str:
    return f"over {scale[-1][0]} days"
