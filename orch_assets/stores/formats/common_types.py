"""The type that holds the columns of several tables, where there is one that changes no value."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_UNITS = ("s", "ms", "us", "ns")
_MAX_DECIMAL_DIGITS = 38


def common_type(one: "pa.DataType", other: "pa.DataType") -> "pa.DataType | None":
    """Return the type that holds the values of both types; None where there is none.

    Whole numbers of both signs become ``int64``, and whole numbers beside others ``float64``: a
    value that doesn't fit is refused by the cast. Text, dates, booleans and numbers are never made
    of each other.
    """
    import pyarrow.types as t

    if one.equals(other):
        return one
    if t.is_null(one) or t.is_null(other):
        return other if t.is_null(one) else one
    if t.is_dictionary(one) or t.is_dictionary(other):
        values = [each.value_type if t.is_dictionary(each) else each for each in (one, other)]
        return common_type(*values)
    rules = (
        (_is_number, _common_number),
        (t.is_decimal, _common_decimal),
        (_is_list, _common_list),
        (t.is_struct, _common_struct),
        (t.is_temporal, _common_time),
    )
    for is_kind, common in rules:
        if is_kind(one) and is_kind(other):
            return common(one, other)
    return _common_text(one, other)


def _is_number(type_: "pa.DataType") -> bool:
    import pyarrow.types as t

    return bool(t.is_integer(type_) or t.is_floating(type_))


def _common_number(one: "pa.DataType", other: "pa.DataType") -> "pa.DataType | None":
    import pyarrow as pa
    import pyarrow.types as t

    if t.is_floating(one) or t.is_floating(other):
        both = t.is_floating(one) and t.is_floating(other)
        return max(one, other, key=_bits) if both else pa.float64()
    if t.is_signed_integer(one) == t.is_signed_integer(other):
        return max(one, other, key=_bits)
    signed, unsigned = (one, other) if t.is_signed_integer(one) else (other, one)
    bits = min(64, max(signed.bit_width, 2 * unsigned.bit_width))
    whole: pa.DataType = getattr(pa, f"int{bits}")()
    return whole


def _bits(type_: "pa.DataType") -> int:
    return int(type_.bit_width)


def _common_decimal(one: Any, other: Any) -> "pa.DataType | None":
    import pyarrow as pa

    scale = max(one.scale, other.scale)
    whole = max(one.precision - one.scale, other.precision - other.scale)
    return pa.decimal128(whole + scale, scale) if whole + scale <= _MAX_DECIMAL_DIGITS else None


def _common_time(one: Any, other: Any) -> "pa.DataType | None":
    """Return the finer of two units; times in different zones have no type in common."""
    import pyarrow as pa
    import pyarrow.types as t

    unit = max(getattr(one, "unit", "s"), getattr(other, "unit", "s"), key=_UNITS.index)
    if t.is_timestamp(one) and t.is_timestamp(other) and one.tz == other.tz:
        return pa.timestamp(unit, one.tz)
    if t.is_duration(one) and t.is_duration(other):
        return pa.duration(unit)
    if t.is_time(one) and t.is_time(other):
        return pa.time32(unit) if unit in {"s", "ms"} else pa.time64(unit)
    return None


def _common_text(one: "pa.DataType", other: "pa.DataType") -> "pa.DataType | None":
    import pyarrow as pa

    names = {str(one), str(other)}
    if names <= {"string", "large_string", "string_view"}:
        return pa.large_string()
    if names <= {"binary", "large_binary", "binary_view"}:
        return pa.large_binary()
    return None


def _is_list(type_: "pa.DataType") -> bool:
    import pyarrow.types as t

    return bool(t.is_list(type_) or t.is_large_list(type_) or t.is_fixed_size_list(type_))


def _common_list(one: Any, other: Any) -> "pa.DataType | None":
    import pyarrow as pa
    import pyarrow.types as t

    values = common_type(one.value_type, other.value_type)
    if values is None:
        return None
    plain = t.is_list(one) and t.is_list(other)
    return pa.list_(values) if plain else pa.large_list(values)


def _common_struct(one: Any, other: Any) -> "pa.DataType | None":
    """Return the struct of both: with the fields of both, in the order in which they come."""
    import pyarrow as pa

    fields = {field.name: field.type for field in one}
    for field in other:
        held = common_type(fields.get(field.name, pa.null()), field.type)
        if held is None:
            return None
        fields[field.name] = held
    return pa.struct(list(fields.items()))
