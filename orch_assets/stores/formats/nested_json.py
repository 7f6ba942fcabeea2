"""Lists, structs and maps as JSON text, for formats without nested types.

Values that JSON doesn't have are text: times in ISO 8601, decimals as digits, bytes in base64.
Durations are integers in their unit, maps are lists of pairs.
"""

import base64
import json
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orch_assets.stores.formats.arrow_types import is_list

if TYPE_CHECKING:
    import pyarrow as pa

Conversion = Callable[[Any], Any]

_TO_JSON, _FROM_JSON = 0, 1  # positions in a leaf's pair of conversions


def is_nested(type_: "pa.DataType") -> bool:
    """Return whether a type is a list, a struct or a map."""
    import pyarrow.types as t

    return is_list(type_) or t.is_struct(type_) or t.is_map(type_)


def has_json(type_: "pa.DataType") -> bool:
    """Return whether values of a type can be written as JSON text."""
    import pyarrow.types as t

    if is_nested(type_):
        return all(has_json(type_.field(index).type) for index in range(type_.num_fields))
    number = t.is_integer(type_) or t.is_floating(type_)
    text = t.is_string(type_) or t.is_large_string(type_)
    literal = t.is_null(type_) or t.is_boolean(type_)
    return number or text or literal or _leaf(type_) is not None


def to_json(column: "pa.Array") -> "pa.Array":
    """Return a column of lists, structs or maps as JSON texts; null stays null.

    Raises:
        ValueError, TypeError: JSON can't represent a value, such as NaN.
    """
    import pyarrow as pa

    convert = _conversion(column.type, _TO_JSON)
    texts = [
        None if value is None else json.dumps(convert(value), ensure_ascii=False, allow_nan=False)
        for value in column.to_pylist()
    ]
    return pa.array(texts, pa.string())


def from_json(texts: Any, type_: "pa.DataType") -> Any:
    """Return the chunked column from the texts of :func:`to_json`."""
    import pyarrow as pa

    restore = _conversion(type_, _FROM_JSON)
    values = [None if text is None else restore(json.loads(text)) for text in texts]
    return pa.chunked_array([pa.array(values, type_)])


def _conversion(type_: "pa.DataType", direction: int) -> Conversion:
    """Return the conversion of a type's values to or from JSON values."""
    import pyarrow.types as t

    if is_list(type_):
        item = _conversion(type_.value_type, direction)
        return _unless_null(lambda value: [item(each) for each in value])
    if t.is_map(type_):
        to_key, to_item = (
            _conversion(each, direction) for each in (type_.key_type, type_.item_type)
        )
        return _unless_null(lambda value: [(to_key(key), to_item(item)) for key, item in value])
    if t.is_struct(type_):
        fields = [type_.field(index) for index in range(type_.num_fields)]
        inner = {field.name: _conversion(field.type, direction) for field in fields}
        return _unless_null(lambda value: {name: inner[name](value[name]) for name in inner})
    leaf = _leaf(type_)
    return _unless_null(leaf[direction]) if leaf else _same


def _unless_null(conversion: Conversion) -> Conversion:
    return lambda value: None if value is None else conversion(value)


def _leaf(type_: "pa.DataType") -> tuple[Conversion, Conversion] | None:
    """Return the conversions to and from JSON; None if the type isn't nested nor needs any."""
    import pyarrow.types as t

    if t.is_timestamp(type_):
        return _iso, _timestamp_parser(type_)
    if t.is_duration(type_):
        return _duration_to_int(type_), _same
    leaves: dict[Callable[[Any], bool], tuple[Conversion, Conversion]] = {
        t.is_date32: (_iso, date.fromisoformat),
        t.is_time: (_iso, time.fromisoformat),
        t.is_decimal: (str, Decimal),
        t.is_binary: (_base64, base64.b64decode),
        t.is_large_binary: (_base64, base64.b64decode),
    }
    return next((pair for is_kind, pair in leaves.items() if is_kind(type_)), None)


def _iso(value: Any) -> str:
    text: str = value.isoformat()
    return text


def _timestamp_parser(type_: Any) -> Conversion:
    if type_.unit != "ns":
        return datetime.fromisoformat
    import pandas as pd

    return pd.Timestamp


def _duration_to_int(type_: "pa.DataType") -> Conversion:
    import pyarrow as pa

    return lambda duration: pa.scalar(duration, type_).value


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _same(value: Any) -> Any:
    return value
