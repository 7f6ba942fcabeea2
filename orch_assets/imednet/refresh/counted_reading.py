"""The rows that changed since an earlier version, and the proof that nothing else is missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import IncompleteTableError, RegistryRefusedError
from orch_assets.imednet.progress import ReadingCounts
from orch_assets.imednet.refresh.basis import Basis
from orch_assets.imednet.refresh.earlier_rows import EarlierRows, dated_since
from orch_assets.imednet.refresh.part_division import PartDivision
from orch_assets.imednet.refresh.recent_revisions import ChangedRows
from orch_assets.imednet.refresh.refreshed_table import RefreshedTable
from orch_assets.imednet.refresh.table_state import before
from orch_assets.refreshing import RowChanges

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

# Changed rows are held in memory, so there is a limit beside half of the table.
_MOST_ROWS: Final = 100_000
_ATTEMPTS: Final = 3
# A revision may be dated a moment later than its record.
_LATER: Final = timedelta(minutes=1)
_REFUSED_ANYWAY: Final = frozenset({401, 403, 404})


@dataclass(frozen=True)
class CountedRows:
    """The rows that changed since an earlier version.

    Attributes:
        rows: The rows dated since then, whether they changed or not.
        total: The rows after the merge, and those that the API counts.
        unchanged: Whether none of the rows differs from the earlier version.
    """

    rows: ChangedRows
    total: int
    unchanged: bool


class CountedReading:
    """Reads what changed since an earlier version.

    Args:
        table: The table.
        division: How it is divided into parts.
        basis: The earlier version.
        counts: Counts the reading.
        changes: Counts the changes.
    """

    def __init__(
        self,
        table: RefreshedTable,
        division: PartDivision,
        basis: Basis,
        counts: ReadingCounts,
        changes: RowChanges,
    ) -> None:
        assert basis.state.watermark is not None  # noqa: S101 - `why_whole` refuses such a basis
        self._table = table
        self._division = division
        self._basis = basis
        self._counts = counts
        self._changes = changes
        self._most = min(basis.state.rows // 2, _MOST_ROWS)
        since = before(basis.state.watermark, table.settings.overlap)
        self._since = min(since, basis.state.since or since)

    def read(self) -> CountedRows | str:
        """Return the changed rows; otherwise, why all rows must be read."""
        try:
            found = self._read()
        except RegistryRefusedError as error:
            if error.status in _REFUSED_ANYWAY:
                raise
            return "the API refuses the filter"
        except IncompleteTableError:
            return "the changed rows can't be read consistently"
        if isinstance(found, CountedRows):
            self._counts.expected, self._counts.arrived = found.total, found.rows.table.num_rows
            self._note(found)
        return found

    def _read(self) -> CountedRows | str:
        if self._audited is None:
            return "too many records have new revisions"
        for attempt in range(_ATTEMPTS):
            rows = self._table.changed_since(
                self._since, self._most, self._counts, self._changes, now=attempt > 0
            )
            if rows is None:
                return "too many rows have changed"
            total = self._table.total(self._counts, self._changes)
            same = total == self._basis.state.rows and self._holds_tail(rows.table)
            if same and self._holds_audited(rows.table):
                return CountedRows(rows, total, unchanged=True)
            problem = self._problem_of(rows.table)
            if problem is not None:
                return problem
            new = int((self._positions(rows.table) < 0).sum())
            if len(self._earlier) + new == total:
                return CountedRows(rows, total, unchanged=same)
        return "the rows after the merge aren't as many as the API counts"

    @cached_property
    def _audited(self) -> "NDArray[Any] | Sequence[int] | None":
        """The IDs of records with new revisions; None if these are too many.

        They are read before the records: what changes in between is found by its date.
        """
        audit = self._table.audit
        if audit is None:
            return ()
        most = max(self._most, self._table.page_size)
        revisions = audit.changed_since(self._since, most, self._counts, self._changes)
        if revisions is None:
            return None
        start = self._since + min(_LATER, self._table.settings.overlap)
        are_later = dated_since(revisions.table[str(audit.rule.date)], start)
        ids: NDArray[Any] = revisions.table["record_id"].drop_null().to_numpy()
        if len(ids) == len(are_later):
            ids = ids[are_later]
        return ids

    def _holds_tail(self, rows: "pa.Table") -> bool:
        """Return whether an answer holds the newest rows of the earlier version, and no others."""
        state = self._basis.state
        comparable = state.tail is not None and state.since == self._since
        return comparable and self._division.is_tail_of(self._basis, rows)

    def _holds_audited(self, rows: "pa.Table") -> bool:
        """Return whether an answer holds all records with new revisions."""
        import numpy as np

        audited = np.asarray(self._audited, np.int64)
        return bool(np.isin(audited, rows[self._table.id_column].to_numpy()).all())

    def _problem_of(self, rows: "pa.Table") -> str | None:
        """Return why an answer can't be all that changed; None if it can."""
        import numpy as np

        earlier = self._earlier
        if not earlier.is_in_order or len(earlier) != self._basis.state.rows:
            return "the stored rows aren't in the order of their IDs"
        answered = np.zeros(len(earlier), bool)
        positions = self._positions(rows)
        answered[positions[positions >= 0]] = True
        if (earlier.since(self._since) & ~answered).any():
            return "the answer lacks rows with a date that was asked for"
        audited = earlier.positions(np.asarray(self._audited, np.int64))
        if not answered[audited[audited >= 0]].all():
            return "a record with a new revision isn't among the changed ones"
        return None

    @cached_property
    def _earlier(self) -> EarlierRows:
        stored = self._basis.parts[0]
        assert stored is not None  # noqa: S101 - only a withheld part may be missing
        return EarlierRows(stored, self._table.id_column, self._table.rule)

    def _positions(self, rows: "pa.Table") -> "NDArray[np.intp]":
        return self._earlier.positions(rows[self._table.id_column].to_numpy())

    def _note(self, found: CountedRows) -> None:
        changes = self._changes
        changes.reading, changes.reason = "counted", None
        if not found.unchanged:
            self._earlier.count(found.rows.table, changes)
        changes.unchanged = found.total - changes.new - changes.changed
        changes.requests_saved = max(self._table.requests(found.total) - changes.requests, 0)
