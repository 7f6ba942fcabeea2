"""Rows in blocks of a fixed size, and blocks in row groups of a fixed number of bytes.

Blocks and row groups end at positions that depend on the table alone, never on the batches in
which it arrived: the same table must produce the same bytes.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from orch_assets.marked_names import named_column_type
from orch_assets.stores.formats.column_plans import column_label
from orch_assets.stores.formats.refusing import storable
from orch_assets.table_blocks import block_rows

if TYPE_CHECKING:
    import pyarrow as pa

# Uncompressed. Smaller groups make larger files (131k rows: 25 %), larger ones take more memory.
ROW_GROUP_BYTES = 64 << 20


def in_blocks(
    batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema"
) -> "Iterator[pa.RecordBatch]":
    """Split and join batches into blocks; all but the last are full."""
    size = block_rows(len(schema))
    pieces: list[pa.RecordBatch] = []
    gathered = 0
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            piece = batch.slice(start, size - gathered)
            pieces.append(piece)
            gathered += piece.num_rows
            start += piece.num_rows
            if gathered == size:
                yield _joined(pieces, schema)
                pieces, gathered = [], 0
    if gathered:
        yield _joined(pieces, schema)


def in_row_groups(blocks: "Iterable[pa.RecordBatch]") -> "Iterator[pa.Table]":
    """Gather blocks into tables of just over 64 MB."""
    import pyarrow as pa

    gathered: list[pa.RecordBatch] = []
    size = 0
    for block in blocks:
        gathered.append(block)
        size += sum(map(_value_bytes, block.columns))
        if size >= ROW_GROUP_BYTES:
            yield pa.Table.from_batches(gathered)
            gathered, size = [], 0
    if gathered:
        yield pa.Table.from_batches(gathered)


def _joined(pieces: "list[pa.RecordBatch]", schema: "pa.Schema") -> "pa.RecordBatch":
    import pyarrow as pa

    if len(pieces) == 1:
        return pieces[0]
    columns = []
    for position, column in enumerate(pa.Table.from_batches(pieces, schema).columns):
        # Dictionaries that fit their type each may not fit it together.
        label = column_label(schema.field(position).name, position)
        with storable(label, named_column_type(column.type)):
            columns.append(column.combine_chunks())
    return pa.record_batch(columns, schema=schema)


def _value_bytes(column: "pa.Array") -> int:
    """Return the bytes of a column without its bitmap, which equal columns may have or not."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.indices
    size: int = column.nbytes
    bitmap = column.buffers()[0] if column.buffers() else None
    return size - (len(column) + 7) // 8 if bitmap is not None else size
