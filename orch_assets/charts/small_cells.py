"""Merges small counts, so that nobody recognizes a subject in what people pass on.

A *cell* is one count of a chart or table. A cell from 1 to below the limit is small. Cells are
merged until none is small, and a merged cell stands for all of its labels, so what is shown adds up
to the right total, and no small count can be calculated from it. 0 is shown.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from orch_assets.errors import SettingError

SETTING: Final = "ORCH_MIN_CELL"
_DEFAULT: Final = 5


def min_cell() -> int:
    """Return ``ORCH_MIN_CELL``, the smallest count that is shown. Reads the environment.

    Raises:
        SettingError: The setting is not a positive whole number.
    """
    text = os.environ.get(SETTING, "").strip() or str(_DEFAULT)
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise SettingError(SETTING, "must be a whole number from 1; 1 merges nothing.")
    return int(text)


@dataclass(frozen=True)
class Cells:
    """Cells that are shown as one.

    Attributes:
        labels: Their labels, in order.
        counts: The sum of their counts, one for each series.
    """

    labels: tuple[str, ...]
    counts: tuple[int, ...]

    def __add__(self, other: "Cells") -> "Cells":
        counts = zip(self.counts, other.counts, strict=True)
        return Cells(self.labels + other.labels, tuple(a + b for a, b in counts))

    @property
    def total(self) -> int:
        """The sum over all series."""
        return sum(self.counts)

    def has_small(self, limit: int) -> bool:
        """Return whether one of the counts is small."""
        return any(0 < count < limit for count in self.counts)


def merge_ordered(cells: Sequence[Cells], limit: int) -> list[Cells]:
    """Merge small cells with their neighbours, for an axis with an order.

    Args:
        cells: The cells in order.
        limit: Smallest count that is shown.

    Returns:
        The cells in order, each with neighbouring labels. No count is small, unless the sum of its
        series is small; then there is one cell.
    """
    merged: list[Cells] = []
    for cell in cells:
        if merged and merged[-1].has_small(limit):
            merged[-1] += cell
        else:
            merged.append(cell)
    while len(merged) > 1 and merged[-1].has_small(limit):
        last = merged.pop()
        merged[-1] += last
    return merged


def merge_named(cells: Sequence[Cells], limit: int, most: int | None = None) -> list[Cells]:
    """Merge small cells into one, for names without an order.

    The cell is last, and has at least two names. If its sum is small, it takes the next smallest
    cell in, too: otherwise the total minus the others would be the small count.

    Args:
        cells: The cells; each with one series.
        limit: Smallest count that is shown.
        most: Largest number of cells to show; smaller ones are merged. None for any number.

    Returns:
        The cells, largest first. Of equal ones, the first is first.
    """
    ranked = sorted(cells, key=lambda cell: -cell.total)
    shown = [cell for cell in ranked if not cell.has_small(limit)]
    other = [cell for cell in ranked if cell.has_small(limit)]
    while most is not None and len(shown) + bool(other) > most and shown:
        other.insert(0, shown.pop())
    large = [cell for cell in shown if cell.total]
    while other and (len(other) < 2 or 0 < sum(c.total for c in other) < limit) and large:  # noqa: PLR2004 - the plural of a cell
        shown.remove(large[-1])
        other.insert(0, large.pop())
    return [*shown, sum(other[1:], other[0])] if other else shown
