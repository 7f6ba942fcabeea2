"""Rows and columns of Arrow tables; values that are set to null, row by row."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def rows_of(table: "pa.Table", columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of some columns, as tuples."""
    return zip(*(table[name].to_pylist() for name in columns), strict=True)


def mask_of(values: Iterable[bool]) -> "pa.BooleanArray":
    """Return an Arrow mask."""
    import pyarrow as pa

    return pa.array(values, pa.bool_())


def one_array(column: "pa.Array | pa.ChunkedArray") -> Any:
    """Return the column of a table or of a batch as one array."""
    import pyarrow as pa

    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def replaced(table: "pa.Table", name: str, column: Any) -> "pa.Table":
    """Return the table with one column replaced; its field stays the same."""
    position = table.schema.get_field_index(name)
    return table.set_column(position, table.schema.field(position), column)


def without(table: "pa.Table", mask: "pa.BooleanArray", columns: Sequence[str]) -> "pa.Table":
    """Return the table with these columns set to null in the masked rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not mask.true_count:
        return table
    for name in columns:
        null = pa.scalar(None, table[name].type)
        # As one array: of several, pyarrow 16 makes arrays that can't be joined.
        table = replaced(table, name, pc.if_else(mask, null, table[name].combine_chunks()))
    return table


def without_inside(
    table: "pa.Table", mask: "pa.BooleanArray", column: str, fields: Sequence[str]
) -> "pa.Table":
    """Return the table with these fields of a list's elements set to null in the masked rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not mask.true_count:
        return table
    lists = table[column].combine_chunks()
    elements = lists.flatten()
    values = [
        pa.nulls(len(elements), field.type) if field.name in fields else elements.field(field.name)
        for field in elements.type
    ]
    emptied = pa.StructArray.from_arrays(
        values, fields=list(elements.type), mask=elements.is_null()
    )
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    ends = pc.cumulative_sum(pa.concat_arrays([pa.array([0], lengths.type), lengths]))
    emptied = pa.ListArray.from_arrays(ends, emptied, type=lists.type, mask=lists.is_null())
    return replaced(table, column, pc.if_else(mask, emptied, lists))
