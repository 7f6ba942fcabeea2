"""Lists and structs as JSON text, for formats that have none of their own."""

import json
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def is_nested(type_: "pa.DataType") -> bool:
    """Whether a type is a list or a struct."""
    import pyarrow.types as t

    return _is_list(type_) or t.is_struct(type_)


def has_json(type_: "pa.DataType") -> bool:
    """Whether JSON text can stand for a list or struct: its leaves are text, numbers or times."""
    import pyarrow.types as t

    if _is_list(type_):
        return has_json(type_.value_type)
    if t.is_struct(type_):
        return all(has_json(type_.field(index).type) for index in range(type_.num_fields))
    plain = (t.is_string, t.is_boolean, t.is_integer, t.is_float64, t.is_timestamp, t.is_date32)
    return t.is_null(type_) or any(is_plain(type_) for is_plain in plain)


def to_json(column: "pa.Array") -> "pa.Array":
    """Return a column of lists or structs as JSON texts; null stays null.

    Raises:
        ValueError, TypeError: a value, such as NaN, has no JSON.
    """
    import pyarrow as pa

    texts = [
        None
        if value is None
        else json.dumps(value, default=_moment, ensure_ascii=False, allow_nan=False)
        for value in column.to_pylist()
    ]
    return pa.array(texts, pa.string())


def from_json(texts: Any, type_: "pa.DataType") -> Any:
    """Return the column that :func:`to_json` made the texts of, chunked."""
    import pyarrow as pa

    values = [None if text is None else _restored(json.loads(text), type_) for text in texts]
    return pa.chunked_array([pa.array(values, type_)])


def _moment(value: object) -> str:
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    raise TypeError


def _restored(value: Any, type_: "pa.DataType") -> Any:
    import pyarrow.types as t

    if value is None:
        return None
    if _is_list(type_):
        return [_restored(each, type_.value_type) for each in value]
    if t.is_struct(type_):
        fields = [type_.field(index) for index in range(type_.num_fields)]
        return {field.name: _restored(value[field.name], field.type) for field in fields}
    if t.is_timestamp(type_):
        return datetime.fromisoformat(value)
    return date.fromisoformat(value) if t.is_date(type_) else value


def _is_list(type_: "pa.DataType") -> bool:
    import pyarrow.types as t

    return bool(t.is_list(type_) or t.is_large_list(type_) or t.is_fixed_size_list(type_))
