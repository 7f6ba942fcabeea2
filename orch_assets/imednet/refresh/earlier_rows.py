"""The IDs and dates of an earlier version: all that is read of it before it is merged."""

from typing import TYPE_CHECKING, Any

from orch_assets.imednet.blinding.masking import mask_of, one_array
from orch_assets.imednet.refresh.endpoint_rules import EndpointRule
from orch_assets.lazy import cached_property
from orch_assets.refreshing import RowChanges, StoredTable

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]


class EarlierRows:
    """The IDs, dates and deletion marks of an earlier version.

    Args:
        stored: The earlier version, with these columns.
        id_column: The column with the rows' IDs.
        rule: Names the other columns.
        withheld: The withheld part of the earlier version, if rows of the table are only there.
    """

    def __init__(
        self,
        stored: StoredTable,
        id_column: str,
        rule: EndpointRule,
        withheld: StoredTable | None = None,
    ) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        self._id = id_column
        self._rule = rule
        names = [name for name in (id_column, rule.date, rule.deleted) if name]
        table = stored.columns(names)
        if withheld is not None:
            others = withheld.columns(names)
            known = pc.is_in(others[id_column], table[id_column].combine_chunks())
            table = pa.concat_tables([table, others.filter(pc.invert(known))])
        self._table = table.combine_chunks()

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def ids(self) -> "NDArray[Any]":
        """The IDs, in the order of the rows."""
        return _values(self._table[self._id])

    @cached_property
    def is_in_order(self) -> bool:
        """Whether the IDs are whole numbers, none is missing, and each is above the one before."""
        numbers = self.ids.dtype.kind == "i" and not self._table[self._id].null_count
        return numbers and bool((self.ids[1:] > self.ids[:-1]).all())

    def since(self, moment: Any) -> "Mask":
        """Return which rows have this date or a later one."""
        return dated_since(self._table[self._rule.date], moment)

    def positions(self, ids: "NDArray[Any]") -> "NDArray[np.intp]":
        """Return the rows with these IDs; -1 for an ID that no row has."""
        import numpy as np

        if not len(self.ids):
            return np.full(len(ids), -1)
        order, ordered = self._ordered
        found = np.searchsorted(ordered, ids).clip(max=len(ordered) - 1)
        return np.where(ordered[found] == ids, order[found], -1)

    @cached_property
    def _ordered(self) -> "tuple[NDArray[np.intp], NDArray[Any]]":
        import numpy as np

        if self.is_in_order:
            return np.arange(len(self.ids)), self.ids
        order = np.argsort(self.ids, kind="stable")
        return order, self.ids[order]

    def count(self, rows: "pa.Table | pa.RecordBatch", changes: RowChanges) -> "NDArray[np.intp]":
        """Count which of some rows are new, changed and deleted; return their former positions."""
        positions = self.positions(_values(rows[self._id]))
        known = positions >= 0
        changes.new += int((~known).sum())
        then, now = positions[known], rows.filter(mask_of(known))
        if self._rule.date:
            moved = self._differs(then, now, self._rule.date)
            changes.changed += int(moved.sum())
            if self._rule.deleted:
                marked = _flags(now[self._rule.deleted])
                was_marked = _flags(self._table[self._rule.deleted].take(then))
                changes.deleted += int((moved & marked & ~was_marked).sum())
        return then

    def _differs(self, positions: "NDArray[np.intp]", now: Any, column: str) -> "Mask":
        before = self._table[column].take(positions)
        differ: Mask = _present(before) != _present(now[column])
        differ |= _values(before) != _values(now[column])
        return differ


def dated_since(dates: Any, moment: Any) -> "Mask":
    """Return which dates are this moment or later; a missing one is not."""
    import numpy as np
    import pyarrow as pa

    limit = np.int64(pa.scalar(moment, pa.timestamp("us", "UTC")).value)
    return _present(dates) & (_values(dates) >= limit)


def _present(column: Any) -> "Mask":
    present: Mask = one_array(column).is_valid().to_numpy(zero_copy_only=False)
    return present


def _values(column: Any) -> "NDArray[Any]":
    """Return numbers, times or texts; 0 or "" for null."""
    import pyarrow as pa

    array = one_array(column)
    if pa.types.is_timestamp(array.type):
        array = array.view(pa.int64())
    if pa.types.is_string(array.type):
        import numpy as np

        return np.array(array.fill_null("").to_pylist(), dtype=object)
    values: NDArray[Any] = array.fill_null(0).to_numpy()
    return values


def _flags(column: Any) -> "Mask":
    flags: Mask = one_array(column).fill_null(False).to_numpy(zero_copy_only=False)
    return flags
