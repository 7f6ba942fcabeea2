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

    if column.type.equals(type_):
        return column
    if _has_list_of_nothing(type_):
        return pa.chunked_array([pa.array(column.to_pylist(), type_)])
    if not types.is_dictionary(type_) or types.is_dictionary(column.type):
        return column.cast(type_)
    chunks = [
        pa.DictionaryArray.from_arrays(
            chunk.indices.cast(type_.index_type), chunk.dictionary, ordered=type_.ordered
        )
        for chunk in column.cast(type_.value_type).dictionary_encode().chunks
    ]
    return pa.chunked_array(chunks, type_)


def _has_list_of_nothing(type_: Any) -> bool:
    """Whether lists of nulls are somewhere in a type: Arrow's cast breaks them."""
    from pyarrow import types

    inner = [type_.field(place).type for place in range(type_.num_fields)]
    return (not types.is_struct(type_) and any(map(types.is_null, inner))) or any(
        map(_has_list_of_nothing, inner)
    )
