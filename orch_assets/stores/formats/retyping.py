"""Giving columns back the types that a file couldn't keep."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def retyped_table(table: "pa.Table", schema: "pa.Schema") -> "pa.Table":
    """Return a table's columns, in their order, as a schema has them."""
    import pyarrow as pa

    columns = [
        retyped(column, field.type) for column, field in zip(table.columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def retyped(column: Any, type_: "pa.DataType") -> Any:
    """Return a chunked column as another type; a cast alone can't make every dictionary type."""
    import pyarrow as pa
    from pyarrow import types

    if column.type.equals(type_):
        return column
    if not types.is_dictionary(type_) or types.is_dictionary(column.type):
        return cast_column(column, type_)
    chunks = [
        pa.DictionaryArray.from_arrays(
            chunk.indices.cast(type_.index_type), chunk.dictionary, ordered=type_.ordered
        )
        for chunk in column.cast(type_.value_type).dictionary_encode().chunks
    ]
    return pa.chunked_array(chunks, type_)


def cast_column(column: "pa.ChunkedArray", type_: "pa.DataType") -> "pa.ChunkedArray":
    """Cast a column, also to a nested type that contains ``null``.

    Arrow's cast returns invalid arrays for such types (findings/arrow_cast_nested_nulls.sh), so
    these columns are rebuilt from Python objects.
    """
    import pyarrow as pa

    if contains_null(type_):
        return pa.chunked_array([pa.array(column.to_pylist(), type_)])
    return column.cast(type_)


def contains_null(type_: Any) -> bool:
    """Return whether a nested type contains the type null."""
    import pyarrow.types as t

    inner = [type_.field(index).type for index in range(type_.num_fields)]
    return any(t.is_null(each) or contains_null(each) for each in inner)
