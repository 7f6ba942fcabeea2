"""Compares what was read back with what should be there, cell by cell."""

from typing import TYPE_CHECKING

from orch_assets.errors import ExportMismatchError
from orch_assets.exports.exported_table import ExportedTable

if TYPE_CHECKING:
    import pyarrow as pa


def require_equal(
    table: ExportedTable, column: str, first_row: int, expected: "pa.Array", found: "pa.Array"
) -> None:
    """Require that both arrays have the same type and cells; NaN equals NaN.

    Args:
        table: The table.
        column: Name of the column in the table.
        first_row: Number of the first cell's row in the table; the first one is 1.
        expected: The cells that should be there.
        found: The cells that were read.

    Raises:
        ExportMismatchError: They differ.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if expected.equals(found):
        return
    if len(expected) != len(found) or expected.type != found.type:
        raise ExportMismatchError(table.study_key, table.name, column)
    same = pc.equal(expected, found)
    if pa.types.is_floating(expected.type):
        same = pc.or_(same, pc.and_(pc.is_nan(expected), pc.is_nan(found)))
    both_null = pc.and_(pc.is_null(expected), pc.is_null(found))
    same = pc.or_(pc.fill_null(same, False), both_null)
    row = pc.index(same, False).as_py()
    if row >= 0:
        raise ExportMismatchError(table.study_key, table.name, column, first_row + row)
