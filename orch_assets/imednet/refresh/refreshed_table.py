"""What a refresh needs of an endpoint: its rules, and ways to read its rows."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from orch_assets.imednet.progress import ReadingCounts
from orch_assets.imednet.refresh.account_reader import AccountReader
from orch_assets.imednet.refresh.earlier_rows import dated_since
from orch_assets.imednet.refresh.endpoint_rules import EndpointRule
from orch_assets.imednet.refresh.recent_revisions import ChangedRows, RecentRevisions
from orch_assets.imednet.refresh.refresh_settings import RefreshSettings
from orch_assets.refreshing import RowChanges

if TYPE_CHECKING:
    import pyarrow as pa

    from orch_assets.imednet.paging import TableRead


@dataclass(frozen=True)
class RefreshAccess:
    """What the refreshes of one SDK share.

    Attributes:
        registry: The registry's name in the states of stored tables.
        settings: The settings of refreshes.
        accounts: Reads which account a study is of.
        revisions: Keeps the newest record revisions of a run.
    """

    registry: str
    settings: RefreshSettings
    accounts: AccountReader
    revisions: RecentRevisions = field(default_factory=RecentRevisions)


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
        access: What all refreshes of the SDK share.
        read: Begins a reading.
        batches: Returns the rows of a reading of the whole table.
        options: The keyword arguments that the whole table is read with.
        audit: The table whose rows tell that a row of this one has changed; None if none does.
    """

    name: str
    study_key: str
    rule: EndpointRule
    id_column: str
    schema: "pa.Schema"
    page_size: int
    access: RefreshAccess
    read: ReadRows
    batches: "Callable[[TableRead[pa.RecordBatch]], Generator[pa.RecordBatch, None, None]]"
    options: Mapping[str, Any] = field(default_factory=dict)
    audit: "RefreshedTable | None" = None

    @property
    def label(self) -> str:
        """The table's name in states: the endpoint with its options."""
        options = [f"{name}={value}" for name, value in sorted(self.options.items())]
        return " ".join([self.name, *options])

    @property
    def settings(self) -> RefreshSettings:
        """The settings of refreshes."""
        return self.access.settings

    def account(self) -> str:
        """Return a digest of the study's row in the account's list of studies.

        Raises:
            StudyNotFoundError: The account doesn't list the study.
            RegistryError: The list can't be read completely.
        """
        return self.access.accounts.digest(self.study_key)

    def requests(self, rows: int) -> int:
        """Return how many requests that many rows take: the last page isn't full."""
        return rows // self.page_size + 1

    def total(self, counts: ReadingCounts, changes: RowChanges) -> int:
        """Return how many rows the API counts now, by one request without a filter."""
        changes.requests += 1
        return self.read({}, counts=counts, size=1).total()

    def changed_since(
        self,
        counts: ReadingCounts,
        changes: RowChanges,
        *,
        moment: datetime,
        most: int,
        now: bool = False,
    ) -> ChangedRows | None:
        """Return the rows with a date from a moment on; None if they are more than ``most``.

        Args:
            counts: Counts the reading.
            changes: Counts the requests.
            moment: The earliest date.
            most: How many rows may be in memory.
            now: Whether a reading that was kept for this run is too old.

        Raises:
            IncompleteTableError: The rows can't be read consistently.
            RegistryError: The API refuses the filter, or doesn't answer.
        """
        kept = self.access.revisions if self.name == "record_revisions" else None
        rows = kept.get(self.study_key, moment) if kept and not now else None
        if rows is None:
            rows = self._read_since(moment, most, counts, changes)
            if kept and rows is not None:
                kept.keep(self.study_key, rows)
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
            counts.replaced_surrogates += own.replaced_surrogates
            changes.requests += self.requests(own.arrived)
        return ChangedRows(pa.Table.from_batches(batches, self.schema), moment, reading.began)

    def _since(self, rows: "pa.Table", moment: datetime) -> "pa.Table":
        """Return the rows with such a date: the API may have understood another moment."""
        import pyarrow as pa

        are_new = dated_since(rows[str(self.rule.date)], moment)
        return rows if are_new.all() else rows.filter(pa.array(are_new, pa.bool_()))
