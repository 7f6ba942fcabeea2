"""What each Arrow type becomes in a transport file."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orch_assets.exports.plain_types import is_of_other_zone
from orch_assets.exports.transport import sas_cells
from orch_assets.exports.transport.sas_cells import SasCells

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class SasType:
    """How a column is stored.

    Attributes:
        convert: Converts its cells.
        is_text: Whether it is a column of text; otherwise one of numbers.
        format: How SAS shows its numbers, without the dot; None if plainly.
        said: What its label says in addition.
        is_other: Whether this is another type than the table has: a note of the kind ``type``.
    """

    convert: "Callable[[pa.Array], SasCells]"
    is_text: bool = False
    format: str | None = None
    said: str = ""
    is_other: bool = False


def sas_type(arrow: "pa.DataType", longest: int) -> SasType:
    """Return how a type is stored.

    Args:
        arrow: The type in the table.
        longest: Most bytes of a text.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(arrow):
        return _of_dictionary(sas_type(arrow.value_type, longest), arrow)
    return _number_type(arrow) or _text_type(arrow, longest)


def _number_type(arrow: "pa.DataType") -> SasType | None:
    import pyarrow as pa

    types = pa.types
    moment = SasType(sas_cells.timestamps, format="DATETIME20")
    if types.is_timestamp(arrow) and arrow.tz:
        moment = replace(moment, said=" (UTC)", is_other=is_of_other_zone(arrow))
    kinds: list[tuple[Callable[[pa.DataType], bool], SasType]] = [
        (types.is_boolean, SasType(sas_cells.integers)),
        (types.is_integer, SasType(sas_cells.integers)),
        (types.is_floating, SasType(sas_cells.floats)),
        (types.is_decimal, SasType(sas_cells.decimals)),
        (types.is_date, SasType(sas_cells.dates, format="DATE9")),
        (types.is_timestamp, moment),
        (types.is_time, SasType(sas_cells.times, format="TIME8")),
        (types.is_duration, SasType(sas_cells.times, said=" (seconds)", is_other=True)),
    ]
    return next((kind for is_kind, kind in kinds if is_kind(arrow)), None)


def _text_type(arrow: "pa.DataType", longest: int) -> SasType:
    import pyarrow as pa

    types = pa.types
    convert = functools.partial(sas_cells.texts, longest=longest)
    if types.is_string(arrow) or types.is_large_string(arrow) or types.is_string_view(arrow):
        return SasType(convert, is_text=True)
    if types.is_null(arrow):
        return SasType(convert, is_text=True, is_other=True)
    is_binary = (
        types.is_binary(arrow)
        or types.is_large_binary(arrow)
        or types.is_binary_view(arrow)
        or types.is_fixed_size_binary(arrow)
    )
    if is_binary:
        return SasType(
            lambda array: convert(sas_cells.as_hexadecimal(array)), is_text=True, is_other=True
        )
    nested = functools.partial(sas_cells.nested, longest=longest)
    return SasType(nested, is_text=True, is_other=True)


def _of_dictionary(values: SasType, arrow: "pa.DataType") -> SasType:
    return replace(
        values,
        convert=lambda array: values.convert(array.cast(arrow.value_type)),
        is_other=values.is_other or arrow.ordered,
    )
