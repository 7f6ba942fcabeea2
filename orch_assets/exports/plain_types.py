"""Plain types: those that most tools know. All others become one of them, or text."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pyarrow as pa

_LONGEST_DECIMAL: Final = 38  # digits of decimal128


@dataclass(frozen=True)
class HeldByFormat:
    """What a format can hold.

    Attributes:
        not_finite: Whether it has NaN and the infinities.
        binary: Whether it has bytes.
        nanosecond_times: Whether a time of the day may have nanoseconds.
        long_decimals: Whether it has decimals of more than 38 digits; it writes them as text.
    """

    not_finite: bool
    binary: bool
    nanosecond_times: bool
    long_decimals: bool

    def plain_type(self, type_: "pa.DataType") -> "pa.DataType":
        """Return the type that holds the cells of a type; text if no other does."""
        import pyarrow as pa
        import pyarrow.types as t

        if t.is_dictionary(type_):
            return self.plain_type(type_.value_type)
        if t.is_date(type_) or t.is_time(type_) or t.is_timestamp(type_):
            return self._plain_moment(type_)
        if t.is_decimal(type_):
            short = type_.precision <= _LONGEST_DECIMAL and type_.scale >= 0
            return pa.decimal128(type_.precision, type_.scale) if short else pa.string()
        if t.is_float16(type_):
            return pa.float32()
        if is_binary(type_) and self.binary:
            return pa.binary()
        same = t.is_boolean(type_) or t.is_integer(type_) or t.is_floating(type_)
        return type_ if same else pa.string()

    def _plain_moment(self, type_: "pa.DataType") -> "pa.DataType":
        import pyarrow as pa
        import pyarrow.types as t

        if t.is_date(type_):
            return pa.date32()
        unit = "ms" if type_.unit == "s" else type_.unit
        if t.is_timestamp(type_):
            return pa.timestamp(unit, type_.tz and "UTC")
        if unit == "ms":
            return pa.time32(unit)
        return pa.time64(unit if self.nanosecond_times else "us")

    def is_other_type(self, type_: "pa.DataType") -> bool:
        """Return whether a plain type lacks something, or is another one.

        A dictionary's order is lost, the name of a time zone, and what became text.
        """
        import pyarrow.types as t

        if t.is_dictionary(type_):
            return bool(type_.ordered) or self.is_other_type(type_.value_type)
        if t.is_timestamp(type_):
            return is_of_other_zone(type_)
        if t.is_decimal(type_) and self.long_decimals:
            return False
        became_text: bool = t.is_string(self.plain_type(type_)) and not _is_text(type_)
        return became_text


def is_of_other_zone(type_: "pa.DataType") -> bool:
    """Return whether timestamps name a zone that isn't UTC. No format has its name."""
    return type_.tz not in {None, "UTC"}


def is_binary(type_: "pa.DataType") -> bool:
    """Return whether a type is one of bytes."""
    import pyarrow.types as t

    return bool(
        t.is_binary(type_)
        or t.is_large_binary(type_)
        or t.is_fixed_size_binary(type_)
        or t.is_binary_view(type_)
    )


def _is_text(type_: "pa.DataType") -> bool:
    import pyarrow.types as t

    return bool(t.is_string(type_) or t.is_large_string(type_) or t.is_string_view(type_))
