"""What a refresh needs of an endpoint: its rules, and ways to read its rows."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from orch_assets.imednet.progress import ReadingCounts
from orch_assets.imednet.refresh.earlier_rows import dated_since
from orch_assets.imednet.refresh.endpoint_rules import EndpointRule
from orch_assets.imednet.refresh.recent_revisions import ChangedRows, RecentRevisions
from orch_assets.imednet.refresh.refresh_settings import RefreshSettings
from orch_assets.refreshing import RowChanges

if TYPE_CHECKING:
    import pyarrow as pa

    from orch_assets.imednet.paging import TableRead


class ReadRows(Protocol):
    """Begins a reading of a table."""

    def __call__(
        self, filters: Mapping[str, Any], *, counts: ReadingCounts, size: int | None = None
    ) -> "TableRead[pa.RecordBatch]":
        """Return a reading of rows, in pages of ``size``; None for the usual size."""
        ...


@dataclass(frozen=True)
class RefreshedTable:
    """A study's table, and how to read it.

    Attributes:
        name: The endpoint's name in the SDK.
        study_key: The study.
        rule: How the table is refreshed.
        id_column: The column with the rows' IDs.
        schema: The schema of all rows, before they are split.
        page_size: Rows of a full page.
        settings: The settings of refreshes.
        registry: The registry's name in states.
        account: Returns the digest of the study's row in the account.
        read: Begins a reading.
        batches: Returns the rows of a reading of the whole table.
        recent: Keeps readings of this table; None for all but ``record_revisions``.
        audit: The table ``record_revisions`` of the study; None for all but ``records``.
    """

    name: str
    study_key: str
    rule: EndpointRule
    id_column: str
    schema: "pa.Schema"
    page_size: int
    settings: RefreshSettings
    registry: str
    account: Callable[[], str]
    read: ReadRows
    batches: "Callable[[TableRead[pa.RecordBatch]], Generator[pa.RecordBatch, None, None]]"
    recent: RecentRevisions | None = None
    audit: "RefreshedTable | None" = None

    def requests(self, rows: int) -> int:
        """Return how many requests that many rows take: the last page isn't full."""
        return rows // self.page_size + 1

    def total(self, counts: ReadingCounts, changes: RowChanges) -> int:
        """Return how many rows the API counts now, by one request without a filter."""
        changes.requests += 1
        own = ReadingCounts()
        total = self.read({}, counts=own, size=1).total()
        counts.retries += own.retries
        return total

    def changed_since(
        self,
        moment: datetime,
        most: int,
        counts: ReadingCounts,
        changes: RowChanges,
        *,
        now: bool = False,
    ) -> ChangedRows | None:
        """Return the rows with a date from a moment on; None if they are more than ``most``.

        Args:
            moment: The earliest date.
            most: How many rows may be in memory.
            counts: Counts the reading.
            changes: Counts the requests.
            now: Whether a reading that was kept for this run is too old.

        Raises:
            IncompleteTableError: The rows can't be read consistently.
            RegistryError: The API refuses the filter, or doesn't answer.
        """
        rows = None if now or self.recent is None else self.recent.get(self.study_key, moment)
        if rows is None:
            rows = self._read_since(moment, most, counts, changes)
            if rows is not None and self.recent is not None:
                self.recent.keep(self.study_key, rows)
        if rows is None or rows.table.num_rows > most:
            return None
        return ChangedRows(self._since(rows.table, moment), moment, rows.began)

    def _read_since(
        self, moment: datetime, most: int, counts: ReadingCounts, changes: RowChanges
    ) -> ChangedRows | None:
        import pyarrow as pa

        own = ReadingCounts()
        reading = self.read({str(self.rule.date): (">=", moment)}, counts=own)
        pages, batches = reading.contents(), []
        try:
            for batch in pages:
                if (own.expected or 0) > most:
                    return None
                batches.append(batch)
        finally:
            pages.close()
            counts.retries += own.retries
            counts.pages += own.pages
            counts.arrived += own.arrived
            changes.requests += self.requests(own.arrived)
        return ChangedRows(pa.Table.from_batches(batches, self.schema), moment, reading.began)

    def _since(self, rows: "pa.Table", moment: datetime) -> "pa.Table":
        """Return the rows with such a date: the API may have understood another moment."""
        import pyarrow as pa

        are_new = dated_since(rows[str(self.rule.date)], moment)
        return rows if are_new.all() else rows.filter(pa.array(are_new, pa.bool_()))
