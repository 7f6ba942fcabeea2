"""Compares two versions of a table whose rows are sorted by ID.

Both are read once, side by side, and one batch of each is in memory. Rows are compared column by
column: a column in which nothing changed costs one comparison of its bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from orch_assets.errors import ImednetError
from orch_assets.refreshing import StoredTable

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from orch_assets.imednet.streams import BatchStream

Version: TypeAlias = "StoredTable | pa.RecordBatchReader | BatchStream"


@dataclass(frozen=True)
class RowDifferences:
    """Some of the rows in which two versions differ, sorted by ID.

    Attributes:
        added: Rows that only the later version has.
        removed: Rows that only the earlier version has.
        before: Rows of both versions with another value in some column, as they were.
        after: The same rows, in the same order, as they are in the later version.
    """

    added: "pa.RecordBatch"
    removed: "pa.RecordBatch"
    before: "pa.RecordBatch"
    after: "pa.RecordBatch"


def row_differences(before: Version, after: Version, key: str) -> Iterator[RowDifferences]:
    """Yield the rows in which two versions of a table differ; nothing where they agree.

    Only columns that both versions have are compared. A column whose type changed differs in every
    row. If both are stored tables of the same version, neither is read.

    Args:
        before: The earlier version: a stored table, or a stream of batches with their schema.
        after: The later version.
        key: The column with the IDs: integers that identify a row, and by which both are sorted.

    Raises:
        ImednetError: The rows of a version are not sorted by ID, or an ID is null or occurs twice.
    """
    if _hash(before) is not None and _hash(before) == _hash(after):
        return
    one, other = _Unread(before, key), _Unread(after, key)
    names = [name for name in after.schema.names if name in before.schema.names]
    while last_ids := [each.last_id for each in (one, other) if each.has_rows()]:
        last = min(last_ids)
        found = _differences(one.up_to(last), other.up_to(last), names)
        if found is not None:
            yield found


@dataclass(frozen=True)
class _Rows:
    """Rows and their IDs."""

    batch: "pa.RecordBatch"
    ids: "NDArray[np.int64]"

    def __len__(self) -> int:
        return len(self.ids)

    def between(self, start: int, stop: int) -> "_Rows":
        return _Rows(self.batch.slice(start, stop - start), self.ids[start:stop])


class _Unread:
    """The rows of a version that are not compared yet."""

    def __init__(self, version: Version, key: str) -> None:
        stored: Any = getattr(version, "batches", None)
        self._batches: Iterator[pa.RecordBatch] = iter(stored() if stored else version)  # type: ignore[arg-type]
        self._key = key
        self._last_id: int | None = None
        self._rows = self._checked(_no_rows(version.schema))

    def has_rows(self) -> bool:
        """Return whether there are rows; reads the next batch if the current one is used up."""
        while not len(self._rows):
            batch = next(self._batches, None)
            if batch is None:
                return False
            self._rows = self._checked(batch)
        return True

    @property
    def last_id(self) -> int:
        """The last ID of the current batch."""
        return int(self._rows.ids[-1])

    def up_to(self, last: int) -> _Rows:
        """Take the rows of the current batch up to an ID."""
        stop = int(self._rows.ids.searchsorted(last, side="right"))
        taken = self._rows.between(0, stop)
        self._rows = self._rows.between(stop, len(self._rows))
        return taken

    def _checked(self, batch: "pa.RecordBatch") -> _Rows:
        import pyarrow as pa

        column = batch.column(self._key)
        ids = column.cast(pa.int64()).to_numpy(zero_copy_only=False)
        follows = self._last_id is None or not len(ids) or ids[0] > self._last_id
        if column.null_count or not follows or not (ids[1:] > ids[:-1]).all():
            raise ImednetError(
                f"A version of a table can't be compared: its rows are not sorted by {self._key}, "
                "or an ID is missing or there twice. Read the table whole again."
            )
        if len(ids):
            self._last_id = int(ids[-1])
        return _Rows(batch, ids)


def _hash(version: Version) -> str | None:
    return getattr(version, "version", None)


def _no_rows(schema: "pa.Schema") -> "pa.RecordBatch":
    import pyarrow as pa

    return pa.record_batch([pa.array([], field.type) for field in schema], schema=schema)


def _differences(before: _Rows, after: _Rows, names: Sequence[str]) -> RowDifferences | None:
    """Compare all rows up to an ID; None if there is no difference."""
    import numpy as np

    at_before = at_after = np.arange(len(before))
    pairs = ((before.batch.column(name), after.batch.column(name)) for name in names)
    if not np.array_equal(before.ids, after.ids):
        _, at_before, at_after = np.intersect1d(
            before.ids, after.ids, assume_unique=True, return_indices=True
        )
        pairs = ((one.take(at_before), other.take(at_after)) for one, other in pairs)
    changed = np.zeros(len(at_before), bool)
    for one, other in pairs:
        _mark_unequal(one, other, changed)
    removed = np.delete(np.arange(len(before)), at_before)
    added = np.delete(np.arange(len(after)), at_after)
    if not (changed.any() or len(removed) or len(added)):
        return None
    return RowDifferences(
        added=after.batch.take(added),
        removed=before.batch.take(removed),
        before=before.batch.take(at_before[changed]),
        after=after.batch.take(at_after[changed]),
    )


def _mark_unequal(one: "pa.Array", other: "pa.Array", marks: "NDArray[np.bool_]") -> None:
    """Mark the positions where two columns of the same length differ; null equals null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if one.equals(other):
        return
    if one.type != other.type:
        marks[:] = True
        return
    if pa.types.is_floating(one.type):  # NaN equals NaN if its bits are the same
        bits = f"int{one.type.bit_width}"
        one, other = one.view(bits), other.view(bits)
    try:
        unequal = pc.not_equal(one, other)
    except pa.ArrowNotImplementedError:
        _mark_unequal_nested(one, other, marks)
        return
    marks |= pc.coalesce(unequal, pc.xor(one.is_null(), other.is_null())).to_numpy(
        zero_copy_only=False
    )


def _mark_unequal_nested(one: "pa.Array", other: "pa.Array", marks: "NDArray[np.bool_]") -> None:
    """Do the same for lists and structs, which Arrow compares only whole: by halving."""
    if one.equals(other):
        return
    if len(one) == 1:
        marks[0] = True
        return
    middle = len(one) // 2
    _mark_unequal_nested(one[:middle], other[:middle], marks[:middle])
    _mark_unequal_nested(one[middle:], other[middle:], marks[middle:])
