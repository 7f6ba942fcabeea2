"""Compares the batches that a file was read into with those of its table."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from orch_assets.errors import ExportMismatchError
from orch_assets.exports.comparing import require_equal
from orch_assets.exports.exported_table import ExportedTable
from orch_assets.exports.two_at_once import closing

if TYPE_CHECKING:
    import pyarrow as pa


def require_same_rows(
    table: ExportedTable, expected: "Iterator[pa.RecordBatch]", found: "Iterator[pa.RecordBatch]"
) -> None:
    """Require that the same rows were read, however they are divided into batches.

    Args:
        table: The table.
        expected: The rows that should be there.
        found: The rows that were read, in the types that they should have. Both are closed.

    Raises:
        ExportMismatchError: They differ.
    """
    first_row = 1
    with closing(expected, found):
        for should, was in _in_step(table, expected, found):
            for field, left, right in zip(should.schema, should.columns, was.columns, strict=True):
                require_equal(table, field.name, first_row, _comparable(left), _comparable(right))
            first_row += should.num_rows


def _in_step(
    table: ExportedTable, expected: "Iterator[pa.RecordBatch]", found: "Iterator[pa.RecordBatch]"
) -> "Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]":
    """Yield batches of equal length from both.

    Raises:
        ExportMismatchError: One of them has more rows.
    """
    should, was = next(expected, None), next(found, None)
    while should is not None and was is not None:
        rows = min(should.num_rows, was.num_rows)
        if rows:
            yield should.slice(0, rows), was.slice(0, rows)
        should = should.slice(rows) if rows < should.num_rows else next(expected, None)
        was = was.slice(rows) if rows < was.num_rows else next(found, None)
    for rest in (should, was):
        if rest is not None and rest.num_rows:
            raise ExportMismatchError(table.study_key, table.name)
    if any(batch.num_rows for rest in (expected, found) for batch in rest):
        raise ExportMismatchError(table.study_key, table.name)


def _comparable(cells: "pa.Array") -> "pa.Array":
    """Return floats as their bits, so that -0.0 differs from 0; all NaN are the same."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(cells.type):
        return cells
    if pc.any(pc.is_nan(cells)).as_py():
        cells = pc.if_else(pc.is_nan(cells), pa.scalar(float("nan"), cells.type), cells)
    return cells.view(pa.int32() if pa.types.is_float32(cells.type) else pa.int64())
