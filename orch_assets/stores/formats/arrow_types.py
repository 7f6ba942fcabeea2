"""Arrow types: as text, one that holds the columns of several tables, and columns cast to one."""

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

# Of decimal128. DuckDB and Polars can't read wider decimals.
MAX_DECIMAL_DIGITS = 38

_UNITS = ("s", "ms", "us", "ns")


def is_list(type_: "pa.DataType") -> bool:
    """Return whether a type is a list, a large list or a list of fixed size."""
    import pyarrow.types as t

    return bool(t.is_list(type_) or t.is_large_list(type_) or t.is_fixed_size_list(type_))


def inner_types(type_: Any) -> "Iterator[pa.DataType]":
    """Yield the types in a nested type, at any depth."""
    for index in range(type_.num_fields):
        inner = type_.field(index).type
        yield inner
        yield from inner_types(inner)


def contains_null(type_: "pa.DataType") -> bool:
    """Return whether a nested type contains the type null."""
    import pyarrow.types as t

    return any(map(t.is_null, inner_types(type_)))


def has_empty_lists(type_: "pa.DataType") -> bool:
    """Return whether a type is or contains a list of the fixed size 0."""
    import pyarrow.types as t

    types: list[Any] = [type_, *inner_types(type_)]
    return any(t.is_fixed_size_list(each) and not each.list_size for each in types)


def encode_schema(schema: "pa.Schema") -> bytes:
    """Return a schema as base64, for metadata."""
    return b64encode(schema.serialize())


def decode_schema(encoded: str | bytes) -> "pa.Schema":
    """Return the schema from what :func:`encode_schema` returned."""
    import pyarrow as pa

    return pa.ipc.read_schema(pa.py_buffer(b64decode(encoded)))


def schema_of(schema: "pa.Schema", columns: "Sequence[str]") -> "pa.Schema":
    """Return the schema of some columns of a table, in the given order."""
    import pyarrow as pa

    return pa.schema([schema.field(name) for name in columns], schema.metadata)


# Casts


def cast_table(table: "pa.Table", schema: "pa.Schema") -> "pa.Table":
    """Return a table with the types and names of a schema, which has its columns in order."""
    import pyarrow as pa

    columns = [
        retype_column(column, field.type)
        for column, field in zip(table.columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def retype_column(column: "pa.ChunkedArray", type_: "pa.DataType") -> "pa.ChunkedArray":
    """Cast a column, also to dictionary types that Arrow's cast doesn't support."""
    import pyarrow as pa
    import pyarrow.types as t

    if column.type.equals(type_):
        return column
    if not t.is_dictionary(type_) or t.is_dictionary(column.type):
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


# The common type of two columns


def common_type(first: "pa.DataType", second: "pa.DataType") -> "pa.DataType | None":
    """Return the type that holds the values of both types; None if there is none.

    Integers of both signs become ``int64``, and integers beside floats become ``float64``; the
    cast refuses a value that doesn't fit. Text, dates, booleans and numbers are never converted to
    each other.
    """
    import pyarrow.types as t

    if first.equals(second):
        return first
    if t.is_null(first) or t.is_null(second):
        return second if t.is_null(first) else first
    if t.is_dictionary(first) or t.is_dictionary(second):
        values = [each.value_type if t.is_dictionary(each) else each for each in (first, second)]
        return common_type(*values)
    rules = (
        (_is_number, _common_number),
        (t.is_decimal, _common_decimal),
        (is_list, _common_list),
        (t.is_struct, _common_struct),
        (t.is_temporal, _common_time),
    )
    for is_kind, common in rules:
        if is_kind(first) and is_kind(second):
            return common(first, second)
    return _common_text(first, second)


def _is_number(type_: "pa.DataType") -> bool:
    import pyarrow.types as t

    return bool(t.is_integer(type_) or t.is_floating(type_))


def _common_number(first: "pa.DataType", second: "pa.DataType") -> "pa.DataType | None":
    import pyarrow as pa
    import pyarrow.types as t

    if t.is_floating(first) or t.is_floating(second):
        both = t.is_floating(first) and t.is_floating(second)
        return max(first, second, key=_bits) if both else pa.float64()
    if t.is_signed_integer(first) == t.is_signed_integer(second):
        return max(first, second, key=_bits)
    signed, unsigned = (first, second) if t.is_signed_integer(first) else (second, first)
    bits = min(64, max(signed.bit_width, 2 * unsigned.bit_width))
    integer: pa.DataType = getattr(pa, f"int{bits}")()
    return integer


def _bits(type_: "pa.DataType") -> int:
    return int(type_.bit_width)


def _common_decimal(first: Any, second: Any) -> "pa.DataType | None":
    import pyarrow as pa

    scale = max(first.scale, second.scale)
    digits = max(first.precision - first.scale, second.precision - second.scale) + scale
    return pa.decimal128(digits, scale) if digits <= MAX_DECIMAL_DIGITS else None


def _common_time(first: Any, second: Any) -> "pa.DataType | None":
    """Return the type with the finer unit; None for timestamps in different time zones."""
    import pyarrow as pa
    import pyarrow.types as t

    unit = max(getattr(first, "unit", "s"), getattr(second, "unit", "s"), key=_UNITS.index)
    if t.is_timestamp(first) and t.is_timestamp(second) and first.tz == second.tz:
        return pa.timestamp(unit, first.tz)
    if t.is_duration(first) and t.is_duration(second):
        return pa.duration(unit)
    if t.is_time(first) and t.is_time(second):
        return pa.time32(unit) if unit in {"s", "ms"} else pa.time64(unit)
    return None


def _common_text(first: "pa.DataType", second: "pa.DataType") -> "pa.DataType | None":
    import pyarrow as pa

    names = {str(first), str(second)}
    if names <= {"string", "large_string", "string_view"}:
        return pa.large_string()
    if names <= {"binary", "large_binary", "binary_view"}:
        return pa.large_binary()
    return None


def _common_list(first: Any, second: Any) -> "pa.DataType | None":
    import pyarrow as pa
    import pyarrow.types as t

    values = common_type(first.value_type, second.value_type)
    if values is None:
        return None
    small = t.is_list(first) and t.is_list(second)
    return pa.list_(values) if small else pa.large_list(values)


def _common_struct(first: Any, second: Any) -> "pa.DataType | None":
    """Return a struct with the fields of the first, then those that only the second has."""
    import pyarrow as pa

    fields = {field.name: field.type for field in first}
    for field in second:
        common = common_type(fields.get(field.name, pa.null()), field.type)
        if common is None:
            return None
        fields[field.name] = common
    return pa.struct(list(fields.items()))
