"""Counts a study's overdue visits, and how long its records waited to be entered."""

from collections import Counter
from collections.abc import Collection, Iterator
from datetime import date
from typing import TYPE_CHECKING

from orch_assets.charts.categories import ENTRY_LAGS, VISIT_DELAYS, category

if TYPE_CHECKING:
    import pyarrow as pa


def overdue_visits(
    visits: "pa.Table", deleted_subjects: "pa.Array", entered: Collection[int], today: date
) -> "Counter[str]":
    """Return the overdue visits by the days since their windows ended.

    A visit is overdue if the end of its window (or else its due date) is over, and it has neither a
    date nor a record. If its dates are withheld, it is not counted.

    Args:
        visits: The visits that are not deleted.
        deleted_subjects: IDs of subjects whose visits are not counted.
        entered: IDs of the visits that have records.
        today: The day for which to count.
    """
    import pyarrow.compute as pc

    ends = pc.coalesce(visits["end_date"], visits["due_date"])
    is_due = pc.and_(pc.less(ends, today), visits["visit_date"].is_null())
    of_study = pc.invert(pc.is_in(visits["subject_id"], value_set=deleted_subjects))
    due = visits.append_column("end", ends).filter(pc.and_(is_due, of_study))
    counts: Counter[str] = Counter()
    for visit_id, end in zip(due["visit_id"].to_pylist(), due["end"].to_pylist(), strict=True):
        if visit_id not in entered:
            counts[category((today - end).days, VISIT_DELAYS)] += 1
    return counts


class EntryLags:
    """Counts records by the days from their visit to their creation, batch by batch.

    Records without a visit, or with a visit without a (not withheld) date, are not counted. Those
    that were created before their visit count as 0 days.

    Args:
        visits: The study's visits.

    Attributes:
        counts: Counts by category.
        entered: IDs of the visits that have records.
    """

    def __init__(self, visits: "pa.Table") -> None:
        self._ids = visits["visit_id"].combine_chunks()
        self._dates = visits["visit_date"].combine_chunks()
        self.counts: Counter[str] = Counter()
        self.entered: set[int] = set()

    def add(self, records: "pa.Table") -> None:
        """Count some of the records that are not deleted."""
        import pyarrow.compute as pc

        self.entered.update(pc.drop_null(pc.unique(records["visit_id"])).to_pylist())
        for days, count in self._lags(records):
            self.counts[category(days, ENTRY_LAGS)] += count

    def _lags(self, records: "pa.Table") -> Iterator[tuple[int, int]]:
        import pyarrow as pa
        import pyarrow.compute as pc

        places = pc.index_in(records["visit_id"], value_set=self._ids)
        visited = pc.take(self._dates, places).cast(pa.int32())
        created = records["date_created"].cast(pa.timestamp("us"))
        created = pc.floor_temporal(created, unit="day").cast(pa.date32()).cast(pa.int32())
        for each in pc.value_counts(pc.drop_null(pc.subtract(created, visited))).to_pylist():
            yield each["values"], each["counts"]
