"""Rows in blocks of a fixed size, and blocks in row groups by bytes.

Where blocks and row groups end depends on the table alone, never on the pieces it came in: the
same table must be the same bytes.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from orch_assets.table_blocks import block_rows

if TYPE_CHECKING:
    import pyarrow as pa

# Uncompressed: smaller ones cost size (131k rows: 25 %), larger ones memory.
ROW_GROUP_BYTES = 64 << 20


def in_blocks(
    batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema"
) -> "Iterator[pa.RecordBatch]":
    """Cut and join batches to blocks; all but the last are full."""
    size = block_rows(len(schema))
    pieces: list[pa.RecordBatch] = []
    held = 0
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            piece = batch.slice(start, size - held)
            pieces.append(piece)
            held += piece.num_rows
            start += piece.num_rows
            if held == size:
                yield _joined(pieces, schema)
                pieces, held = [], 0
    if held:
        yield _joined(pieces, schema)


def in_row_groups(blocks: "Iterable[pa.RecordBatch]") -> "Iterator[pa.Table]":
    """Gather blocks to tables of 64 MB and a little more."""
    import pyarrow as pa

    gathered: list[pa.RecordBatch] = []
    size = 0
    for block in blocks:
        gathered.append(block)
        size += sum(map(_bytes, block.columns))
        if size >= ROW_GROUP_BYTES:
            yield pa.Table.from_batches(gathered)
            gathered, size = [], 0
    if gathered:
        yield pa.Table.from_batches(gathered)


def _joined(pieces: "list[pa.RecordBatch]", schema: "pa.Schema") -> "pa.RecordBatch":
    import pyarrow as pa

    if len(pieces) == 1:
        return pieces[0]
    (batch,) = pa.Table.from_batches(pieces, schema).combine_chunks().to_batches()
    return batch


def _bytes(column: "pa.Array") -> int:
    """Return the bytes of a column's values: a bitmap may be there or not for the same values."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.indices
    size: int = column.nbytes
    bitmap = column.buffers()[0] if column.buffers() else None
    return size - (len(column) + 7) // 8 if bitmap is not None else size
