"""Tables that only grow: the earlier rows as they are, then new ones."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from orch_assets.imednet.descriptions import DescribedColumn
from orch_assets.imednet.form_tables.spill_buffer import SpillBuffer
from orch_assets.imednet.history.change_columns import MOMENT, NUMBERS
from orch_assets.imednet.progress import ReadingCounts
from orch_assets.imednet.streams import BatchStream
from orch_assets.refreshing import APPENDED, PartRefresh, RowChanges, StoredTable

if TYPE_CHECKING:
    import pyarrow as pa


# New rows in memory; what exceeds it waits in a file.
_MEMORY_BYTES: Final = 32 << 20
_BATCH_ROWS: Final = 4096

# Why there are no new rows, in the metadata.
NOTHING_TO_COMPARE: Final = "there is no earlier version to compare with"
NOTHING_PUBLISHED: Final = "nothing was published since the last comparison"


def compared(count: int) -> str:
    """Return how many versions were compared, as a reason."""
    return f"{count:,} {'version' if count == 1 else 'versions'} compared"


def schema_of(columns: Sequence[DescribedColumn]) -> "pa.Schema":
    """Return the Arrow schema of described columns."""
    import pyarrow as pa

    types = {MOMENT: pa.timestamp("us", "UTC"), NUMBERS: pa.list_(pa.int64())}
    return pa.schema(
        [(each.name, types.get(each.type) or pa.type_for_alias(each.type)) for each in columns]
    )


class NewRows:
    """Rows to be appended, in memory or in a file.

    Attributes:
        count: Their number.
    """

    def __init__(self, schema: "pa.Schema") -> None:
        self.count = 0
        self._schema = schema
        self._buffer = SpillBuffer(_MEMORY_BYTES)
        self._rows: list[Mapping[str, Any]] = []
        self._batches: list[Callable[[], pa.RecordBatch]] = []

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row; columns that it lacks are null."""
        self.count += 1
        self._rows.append(row)
        if len(self._rows) >= _BATCH_ROWS:
            self._flush()

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """Yield the rows; may be called repeatedly."""
        self._flush()
        for batch in self._batches:
            yield batch()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            batch = pa.RecordBatch.from_pylist(self._rows, self._schema)
            self._batches.append(self._buffer.put(batch))
            self._rows = []


def appended(
    schema: "pa.Schema", parts: "Iterable[Iterable[pa.RecordBatch]]", refresh: PartRefresh
) -> BatchStream:
    """Return a stream of all rows of some parts. Columns that a batch lacks are null in it."""

    def rows() -> "Generator[pa.RecordBatch, None, None]":
        for batch in chain.from_iterable(parts):
            yield _conformed(batch, schema)

    return BatchStream(rows(), ReadingCounts(), schema, refresh=refresh)


def append(earlier: StoredTable, new: "pa.Table", versions: int) -> BatchStream:
    """Return a stored table with new rows at its end.

    Args:
        earlier: The table. If nothing was compared, it stays as it is.
        new: The new rows, with the schema that the table is to have.
        versions: How many versions were compared to find them.
    """
    reason = compared(versions) if versions else NOTHING_PUBLISHED
    changes = RowChanges(APPENDED, reason, new=new.num_rows, unchanged=earlier.num_rows)
    if not versions:
        return appended(new.schema, [], PartRefresh(earlier, unchanged=True, changes=changes))
    refresh = PartRefresh(earlier, changes=changes)
    return appended(new.schema, [earlier.batches(), new.to_batches()], refresh)


def begun_anew(earlier: StoredTable, schema: "pa.Schema") -> BatchStream:
    """Return a table without rows, to replace one about another account."""
    changes = RowChanges(APPENDED, NOTHING_TO_COMPARE)
    return appended(schema, [], PartRefresh(earlier, changes=changes))


def _conformed(batch: "pa.RecordBatch", schema: "pa.Schema") -> "pa.RecordBatch":
    import pyarrow as pa

    present = set(batch.schema.names)
    columns = [
        batch.column(field.name) if field.name in present else pa.nulls(len(batch), field.type)
        for field in schema
    ]
    return pa.record_batch(columns, schema=schema)


def first_rows(batches: "Iterable[pa.RecordBatch]", count: int) -> "Iterator[pa.RecordBatch]":
    """Yield the first rows of a table."""
    for batch in batches:
        if count <= 0:
            return
        yield batch.slice(0, count)
        count -= len(batch)
