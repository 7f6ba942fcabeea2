"""The rows that changed since an earlier version, and the proof that nothing else is missing."""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import (
    ArtifactCorruptError,
    ArtifactNotFoundError,
    IncompleteTableError,
    RegistryRefusedError,
)
from orch_assets.imednet.progress import ReadingCounts
from orch_assets.imednet.refresh.basis import Basis
from orch_assets.imednet.refresh.earlier_rows import EarlierRows, dated_since
from orch_assets.imednet.refresh.endpoint_rules import REVISION_DELAY
from orch_assets.imednet.refresh.part_division import PartDivision
from orch_assets.imednet.refresh.recent_revisions import ChangedRows
from orch_assets.imednet.refresh.refreshed_table import RefreshedTable
from orch_assets.imednet.refresh.side_reading import beside
from orch_assets.imednet.refresh.table_state import before
from orch_assets.lazy import cached_property
from orch_assets.refreshing import COUNTED, RowChanges

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

# Changed rows are held in memory, so there is a limit beside half of the table.
_MOST_ROWS: Final = 100_000
_ATTEMPTS: Final = 3
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
        # The IDs of records with new revisions.
        self._audited: NDArray[Any] | tuple[()] = ()

    def read(self) -> CountedRows | str:
        """Return the changed rows; otherwise, why all rows must be read."""
        try:
            found = self._read()
        except RegistryRefusedError as error:
            if error.status in _REFUSED_ANYWAY:
                raise
            return "the API refuses the filter"
        except (ArtifactCorruptError, ArtifactNotFoundError):
            return "the stored version can't be read"
        except IncompleteTableError:
            return "the changed rows can't be read consistently"
        if isinstance(found, CountedRows):
            self._counts.expected, self._counts.arrived = found.total, found.rows.table.num_rows
            self._note(found)
        return found

    def _read(self) -> CountedRows | str:
        problem = ""
        for attempt in range(_ATTEMPTS):
            answer = self._answer(again=attempt > 0)
            if isinstance(answer, str):
                return answer
            rows, total = answer
            same = total == self._basis.state.rows and self._holds_tail(rows.table)
            if same and self._holds_audited(rows.table):
                return CountedRows(rows, total, unchanged=True)
            misfit = self._misfit_of(rows.table)
            if misfit:
                return misfit
            problem = self._problem_of(rows.table, total)
            if not problem:
                return CountedRows(rows, total, unchanged=same)
        return problem

    def _answer(self, *, again: bool) -> tuple[ChangedRows, int] | str:
        """Return the rows with a new date, and how many rows the API counts.

        All is asked for at once. Whatever changes in between leads to another answer.
        """
        table, counts, changes = self._table, self._counts, self._changes
        audit = None if again or table.audit is None else table.audit
        most = max(self._most, table.page_size)
        audited = audit and beside(
            functools.partial(audit.changed_since, moment=self._since, most=most), counts, changes
        )
        total = beside(table.total, counts, changes)
        rows = table.changed_since(counts, changes, moment=self._since, most=self._most, now=again)
        if audit and audited:
            revisions = audited()
            if revisions is None:
                return "too many records have new revisions"
            self._audited = self._records_of(revisions.table, str(audit.rule.date))
        if rows is None:
            return "too many rows have changed"
        return rows, total()

    def _records_of(self, revisions: "pa.Table", date: str) -> "NDArray[Any]":
        """Return the IDs of the records that revisions tell of."""
        import pyarrow as pa

        start = self._since + min(REVISION_DELAY, self._table.settings.overlap)
        later = pa.array(dated_since(revisions[date], start), pa.bool_())
        ids: NDArray[Any] = revisions["record_id"].filter(later).drop_null().to_numpy()
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

    def _misfit_of(self, rows: "pa.Table") -> str:
        """Return why the stored version can't be merged with an answer, or any other; else ""."""
        if not self._basis.has_schemas():
            return "the columns have changed"
        if not self._earlier.is_in_order or len(self._earlier) != self._basis.state.rows:
            return "the stored rows aren't in the order of their IDs"
        if (self._earlier.since(self._since) & ~self._answered(rows)).any():
            return "the answer lacks rows with a date that was asked for"
        return ""

    def _problem_of(self, rows: "pa.Table", total: int) -> str:
        """Return what an answer lacks, perhaps because the study is being edited; else ""."""
        import numpy as np

        audited = self._earlier.positions(np.asarray(self._audited, np.int64))
        if not self._answered(rows)[audited[audited >= 0]].all():
            return "a record with a new revision isn't among the changed ones"
        new = int((self._positions(rows) < 0).sum())
        if len(self._earlier) + new != total:
            return "the rows after the merge aren't as many as the API counts"
        return ""

    def _answered(self, rows: "pa.Table") -> "NDArray[np.bool_]":
        """Return which of the earlier rows an answer holds."""
        import numpy as np

        answered = np.zeros(len(self._earlier), bool)
        positions = self._positions(rows)
        answered[positions[positions >= 0]] = True
        return answered

    @cached_property
    def _earlier(self) -> EarlierRows:
        stored = self._basis.parts[0]
        assert stored is not None  # noqa: S101 - only a withheld part may be missing
        return EarlierRows(stored, self._table.id_column, self._table.rule)

    def _positions(self, rows: "pa.Table") -> "NDArray[np.intp]":
        return self._earlier.positions(rows[self._table.id_column].to_numpy())

    def _note(self, found: CountedRows) -> None:
        changes = self._changes
        changes.reading, changes.reason = COUNTED, None
        if not found.unchanged:
            self._earlier.count(found.rows.table, changes)
        changes.unchanged = found.total - changes.new - changes.changed
        changes.requests_saved = max(self._table.requests(found.total) - changes.requests, 0)
