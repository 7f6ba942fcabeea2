"""A whole reading of a table: its rows pass, are compared with the earlier version, and counted.

The newest rows are kept meanwhile: the next refresh recognizes by them that nothing has changed.
"""

from collections.abc import Callable, Generator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from orch_assets.errors import RegistryNotFoundError
from orch_assets.imednet.progress import ReadingCounts
from orch_assets.imednet.refresh.earlier_rows import EarlierRows, dated_since
from orch_assets.imednet.refresh.refreshed_table import RefreshedTable
from orch_assets.imednet.refresh.table_state import NewestRows, before
from orch_assets.lazy import cached_property
from orch_assets.refreshing import RowChanges

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS: Final = 10_000
_LATEST: Final = datetime.max.replace(tzinfo=UTC)


class NewestRowsKeeper:
    """Keeps the rows whose dates are within the overlap of the newest one.

    Args:
        schema: The rows' schema.
        date: The column with the rows' dates; None if they have none.
        overlap: How far before the newest date a row may be.
        all_up_to: All rows are kept as long as they are no more than this.

    Attributes:
        rows: The number of rows so far.
    """

    def __init__(
        self, schema: "pa.Schema", date: str | None, overlap: timedelta, all_up_to: int
    ) -> None:
        self._schema = schema
        self._date = date
        self._overlap = overlap
        self._all_up_to = all_up_to
        self.rows = 0
        self._all: list[pa.RecordBatch] | None = []
        self._newest: list[pa.RecordBatch] = []
        self._watermark: datetime | None = None
        self._dropped: datetime | None = None

    def add(self, batch: "pa.RecordBatch", latest: datetime | None) -> None:
        """Look at the next rows.

        Args:
            batch: The rows.
            latest: Later dates don't count as newest: they are in the future, or came during the
                reading. None if that is unknown: no date counts.
        """
        self.rows += batch.num_rows
        if self._all is not None:
            self._all.append(batch)
            if self.rows > self._all_up_to:
                self._all = None
        if self._date is not None:
            self._watermark = newest_of([batch], self._date, latest, self._watermark)
            self._newest = self._within([*self._newest, batch])
            if sum(each.num_rows for each in self._newest) > MOST_ROWS:
                self._dropped = newest_of(self._newest, self._date, _LATEST, self._dropped)
                self._newest = []

    def result(self) -> NewestRows:
        """Return the newest rows; all rows if they are few."""
        import pyarrow as pa

        if self._all is not None:
            rows = pa.Table.from_batches(self._all, self._schema)
            return NewestRows(self._watermark, None, rows)
        since = None if self._watermark is None else before(self._watermark, self._overlap)
        if since is None or (self._dropped is not None and self._dropped >= since):
            return NewestRows(self._watermark, since, None)
        rows = pa.Table.from_batches(self._newest, self._schema)
        return NewestRows(self._watermark, since, rows)

    def _within(self, batches: "Sequence[pa.RecordBatch]") -> "list[pa.RecordBatch]":
        import pyarrow as pa

        if self._watermark is None:  # nothing but dates in the future so far, or none
            return [] if self._date is None else [_dated(each, self._date) for each in batches]
        since = before(self._watermark, self._overlap)
        masks = [dated_since(each[self._date], since) for each in batches]
        return [
            each if mask.all() else each.filter(pa.array(mask, pa.bool_()))
            for each, mask in zip(batches, masks, strict=True)
            if mask.any()
        ]


def newest_of(
    batches: "Sequence[pa.RecordBatch | pa.Table]",
    date: str,
    latest: datetime | None,
    earlier: datetime | None = None,
) -> datetime | None:
    """Return the newest date of rows up to ``latest``, or ``earlier`` if that is newer.

    If ``latest`` is unknown, no date of the rows counts: it could be in the future.
    """
    import pyarrow.compute as pc

    found = [] if earlier is None else [earlier]
    for batch in batches if latest else ():
        dates = batch[date]
        newest = pc.max(dates.filter(pc.less_equal(dates, latest))).as_py()
        if newest is not None:
            found.append(newest)
    return max(found, default=None)


def _dated(batch: "pa.RecordBatch", date: str) -> "pa.RecordBatch":
    return batch.filter(batch[date].is_valid())


class WholeReading:
    """One reading of all rows of a table.

    Args:
        table: The table.
        counts: Counts the reading.
        changes: Counts the changes.
        earlier: Returns the earlier version's IDs and dates; None if there is none to compare with.

    Attributes:
        newest: The newest rows; complete when all rows have passed.
    """

    def __init__(
        self,
        table: RefreshedTable,
        counts: ReadingCounts,
        changes: RowChanges,
        earlier: Callable[[], EarlierRows | None],
    ) -> None:
        rule = table.rule
        all_up_to = table.page_size - 1 if rule.by_date else MOST_ROWS
        self.newest = NewestRowsKeeper(table.schema, rule.date, table.settings.overlap, all_up_to)
        self._table = table
        self._counts = counts
        self._changes = changes
        self._load_earlier = earlier
        self._reading = table.read(table.options, counts=counts)
        self._batches = table.batches(self._reading)
        self._peeked: list[pa.RecordBatch] = []

    def all_at_once(self) -> "pa.RecordBatch | None":
        """Return all rows if they are in one batch; None if there are more. Pass none of them."""
        first = next(self._batches)
        self._peeked = [first]
        return first if first.num_rows == self._counts.expected else None

    def end(self) -> None:
        """Read to the end without comparing: nothing has changed."""
        for _ in self._batches:
            pass
        self._changes.unchanged = self._counts.arrived
        self._changes.requests += self._table.requests(self._counts.arrived)

    def rows(self) -> "Generator[pa.RecordBatch, None, None]":
        """Yield all rows."""
        seen = 0
        try:
            while self._peeked:
                seen += self._look_at(self._peeked[0])
                yield self._peeked.pop()
            for batch in self._batches:
                seen += self._look_at(batch)
                yield batch
        except RegistryNotFoundError:
            self._table.account()  # raises the better error if the account lacks the study
            raise
        finally:
            self._batches.close()
        self._changes.unchanged = seen - self._changes.changed
        self._changes.vanished = (len(self._earlier) if self._earlier else 0) - seen
        self._changes.requests += self._table.requests(self._counts.arrived)

    def _look_at(self, batch: "pa.RecordBatch") -> int:
        """Return how many of the rows the earlier version has."""
        self.newest.add(batch, self._reading.began)
        if self._earlier is None:
            self._changes.new += batch.num_rows
            return 0
        return len(self._earlier.count(batch, self._changes))

    @cached_property
    def _earlier(self) -> EarlierRows | None:
        return self._load_earlier()
