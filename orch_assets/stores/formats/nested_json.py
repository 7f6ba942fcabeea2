"""Lists, structs and maps as JSON text, for formats that have none of their own.

Inside of it, what JSON has not is text: times as ISO 8601 has them, decimals as digits, bytes in
base64. Spans are whole numbers of their unit, maps lists of pairs.
"""

import base64
import json
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

Conversion = Callable[[Any], Any]


def is_nested(type_: "pa.DataType") -> bool:
    """Whether a type is a list, a struct or a map."""
    import pyarrow.types as t

    return _is_list(type_) or t.is_struct(type_) or t.is_map(type_)


def has_json(type_: "pa.DataType") -> bool:
    """Whether JSON text can stand for values of a type."""
    import pyarrow.types as t

    if is_nested(type_):
        return all(has_json(type_.field(index).type) for index in range(type_.num_fields))
    plain = (t.is_null, t.is_boolean, t.is_integer, t.is_floating, t.is_string, t.is_large_string)
    return any(is_plain(type_) for is_plain in plain) or _leaf(type_) is not None


def to_json(column: "pa.Array") -> "pa.Array":
    """Return a column of lists, structs or maps as JSON texts; null stays null.

    Raises:
        ValueError, TypeError: a value, such as NaN, has no JSON.
    """
    import pyarrow as pa

    plain = _conversion(column.type, 0)
    texts = [
        None if value is None else json.dumps(plain(value), ensure_ascii=False, allow_nan=False)
        for value in column.to_pylist()
    ]
    return pa.array(texts, pa.string())


def from_json(texts: Any, type_: "pa.DataType") -> Any:
    """Return the column that :func:`to_json` made the texts of, chunked."""
    import pyarrow as pa

    restored = _conversion(type_, 1)
    values = [None if text is None else restored(json.loads(text)) for text in texts]
    return pa.chunked_array([pa.array(values, type_)])


def _conversion(type_: "pa.DataType", way: int) -> Conversion:
    """Return what makes JSON of values of a type (way 0), or what undoes it (way 1)."""
    import pyarrow.types as t

    if _is_list(type_):
        item = _conversion(type_.value_type, way)
        return _unless_null(lambda value: [item(each) for each in value])
    if t.is_map(type_):
        first, second = (_conversion(each, way) for each in (type_.key_type, type_.item_type))
        return _unless_null(lambda value: [(first(one), second(other)) for one, other in value])
    if t.is_struct(type_):
        fields = [type_.field(index) for index in range(type_.num_fields)]
        inner = {field.name: _conversion(field.type, way) for field in fields}
        return _unless_null(lambda value: {name: inner[name](value[name]) for name in inner})
    leaf = _leaf(type_)
    return _unless_null(leaf[way]) if leaf else _same


def _unless_null(conversion: Conversion) -> Conversion:
    return lambda value: None if value is None else conversion(value)


def _leaf(type_: "pa.DataType") -> tuple[Conversion, Conversion] | None:
    """Return what makes JSON of values of a type, and what undoes it; None where JSON has them."""
    import pyarrow.types as t

    if t.is_timestamp(type_):
        return _iso, _moment_in(type_)
    if t.is_duration(type_):
        return _span_in(type_), _same
    leaves: dict[Callable[[Any], bool], tuple[Conversion, Conversion]] = {
        t.is_date32: (_iso, date.fromisoformat),
        t.is_time: (_iso, time.fromisoformat),
        t.is_decimal: (str, Decimal),
        t.is_binary: (_base64, base64.b64decode),
        t.is_large_binary: (_base64, base64.b64decode),
    }
    return next((both for is_kind, both in leaves.items() if is_kind(type_)), None)


def _iso(moment: Any) -> str:
    text: str = moment.isoformat()
    return text


def _moment_in(type_: Any) -> Conversion:
    if type_.unit != "ns":
        return datetime.fromisoformat
    import pandas as pd

    return pd.Timestamp


def _span_in(type_: "pa.DataType") -> Conversion:
    import pyarrow as pa

    return lambda span: pa.scalar(span, type_).value


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _same(value: Any) -> Any:
    return value


def _is_list(type_: "pa.DataType") -> bool:
    import pyarrow.types as t

    return bool(t.is_list(type_) or t.is_large_list(type_) or t.is_fixed_size_list(type_))
