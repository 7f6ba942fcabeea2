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
    """Return a chunked column as another type; as a dictionary too, which a cast can't always."""
    import pyarrow as pa
    from pyarrow import types

    if not types.is_dictionary(type_) or types.is_dictionary(column.type):
        return column.cast(type_)
    chunks = [
        pa.DictionaryArray.from_arrays(
            chunk.indices.cast(type_.index_type), chunk.dictionary, ordered=type_.ordered
        )
        for chunk in column.cast(type_.value_type).dictionary_encode().chunks
    ]
    return pa.chunked_array(chunks, type_)
