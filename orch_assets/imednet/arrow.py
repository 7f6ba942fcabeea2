"""Arrow schemas of iMednet's tables, and the record batches of their pages.

A schema follows from the model alone, so a table without rows, or with columns of nulls only, has
the same schema. Objects without a fixed shape are JSON text, as the API sent it: ``record_data``,
and ``extra`` for what the API description does not name.
"""

import contextlib
import functools
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from orch_assets.imednet.fields import (
    MOMENT,
    NUMBER,
    OBJECT,
    Field,
    FieldError,
    FieldType,
    columns_of,
    fields_of,
    naive_utc,
)
from orch_assets.imednet.models import RegistryRow
from orch_assets.imednet.rows import WireRows, rows_of_lists

if TYPE_CHECKING:
    import pyarrow as pa

_NO_ELEMENTS = {b"", b"null", b"[]"}

# Ends each text of a page while its texts are one: no text of a clinical study holds it.
_END = "\0"
_MAX_BYTES = 2**31 - 1


@functools.cache
def arrow_schema(model: type[RegistryRow]) -> "pa.Schema":
    """Return the Arrow schema of a model's table."""
    import pyarrow as pa

    return pa.schema([(field.name, _arrow_type(field.kind)) for field in columns_of(model)])


def _arrow_type(kind: FieldType) -> "pa.DataType":
    import pyarrow as pa

    if kind.row is not None:
        return pa.list_(pa.struct(list(arrow_schema(kind.row))))
    zoned = re.fullmatch(r"timestamp\[(\w+), tz=(\w+)\]", kind.arrow)
    # Arrow finds every type by its name, except timestamps with a zone.
    return pa.timestamp(*zoned.groups()) if zoned else pa.type_for_alias(kind.arrow)


def record_batch(model: type[RegistryRow], rows: WireRows) -> "pa.RecordBatch":
    """Make a record batch from rows.

    Raises:
        FieldError: A value does not have its field's type.
        UnicodeDecodeError: A text is not UTF-8.
    """
    import pyarrow as pa

    schema = arrow_schema(model)
    texts = _text_columns(model, rows)
    columns = [
        _column(field, rows.column(field.name), type_, texts.get(field.name))
        for field, type_ in zip(fields_of(model), schema.types, strict=False)  # without `extra`
    ]
    extra = [None] * len(rows.rows) if rows.extra is None else rows.extra
    columns.append(pa.array(extra, pa.string()))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


@dataclass(frozen=True)
class _Texts:
    """A column of texts, none of which is null.

    Attributes:
        column: The texts.
        length: The length in bytes that all of them have; None if they differ.
    """

    column: "pa.StringArray"
    length: int | None


def _text_columns(model: type[RegistryRow], rows: WireRows) -> Mapping[str, _Texts]:
    """Return the columns that are sent as text, all made at once; those with nulls are left out.

    For a page, calling Arrow and numpy once for each column takes as long as all the values.
    """
    import numpy as np
    import pyarrow as pa

    joined: dict[str, str] = {}
    for field in fields_of(model):
        if field.kind.is_text:
            with contextlib.suppress(TypeError):  # null, or numbers for a date
                joined[field.name] = _END.join(rows.column(field.name))
    ended = (_END.join(joined.values()) + _END).encode()
    ends = np.flatnonzero(np.frombuffer(ended, np.uint8) == 0)
    count, texts = len(rows.rows), len(rows.rows) * len(joined)
    if len(ends) != texts or len(ended) > _MAX_BYTES:  # also if a text holds the character
        return {}
    offsets = np.zeros(texts + 1, np.int32)
    offsets[1:] = ends - np.arange(texts)
    lengths = np.diff(offsets).reshape(len(joined), count)
    are_equal = (lengths == lengths[:, :1]).all(axis=1).tolist()
    buffers = pa.py_buffer(offsets), pa.py_buffer(ended.replace(_END.encode(), b""))
    every = pa.StringArray.from_buffers(texts, *buffers)
    return {
        name: _Texts(
            every.slice(position * count, count),
            int(lengths[position, 0]) if are_equal[position] else None,
        )
        for position, name in enumerate(joined)
    }


def _column(
    field: Field, values: Sequence[Any], type_: "pa.DataType", texts: _Texts | None
) -> "pa.Array":
    import pyarrow as pa

    kind = field.kind
    if kind.row is not None:
        return _list_column(field, kind.row, values, type_)
    if kind is OBJECT:
        return _object_column(field, values)
    if kind.length is not None:
        return _date_column(field, values, type_, texts)
    if texts is not None:
        return texts.column
    if kind is NUMBER:
        with contextlib.suppress(struct.error):  # null, or beyond 64 bits
            # A sixth of the time that Arrow takes.
            packed = struct.pack(f"{len(values)}q", *values)
            return pa.Array.from_buffers(type_, len(values), [None, pa.py_buffer(packed)])
    try:
        return pa.array(values, type_)
    except OverflowError:  # beyond 64 bits
        raise field.error() from None


def _date_column(
    field: Field, values: Sequence[Any], type_: "pa.DataType", texts: _Texts | None
) -> "pa.Array":
    """Make a column of dates, or of dates and times.

    Arrow parses them if all are written in the API's usual form.
    """
    import pyarrow as pa

    length, column = field.kind.length, None
    if texts is not None:
        column = texts.column if texts.length == length else None
    elif {*map(len, filter(None, values))} <= {length}:
        with contextlib.suppress(pa.ArrowException):  # numbers
            column = pa.array(values, pa.string())
    if column is not None:
        with contextlib.suppress(pa.ArrowException):  # no date
            return column.cast(pa.timestamp("us") if field.kind is MOMENT else type_).view(type_)
    return _read_column(field, values, type_)


def _object_column(field: Field, values: Sequence[msgspec.Raw]) -> "pa.Array":
    import pyarrow as pa

    column = _objects(values)
    if column is not None:
        return column
    texts = [bytes(value).decode() or None for value in values]
    if not all(text is None or text == "null" or text.startswith("{") for text in texts):
        raise field.error()
    return pa.array([None if text == "null" else text for text in texts], pa.string())


def _objects(values: Sequence[msgspec.Raw]) -> "pa.Array | None":
    """Return the column if every value is an object, as in most tables; otherwise None."""
    import numpy as np
    import pyarrow as pa

    text = b"".join(values)
    lengths = np.fromiter(map(len, values), np.int32, len(values))
    if not lengths.all() or len(text) > np.iinfo(np.int32).max:
        return None
    offsets = np.concatenate(([0], lengths.cumsum())).astype(np.int32)
    if not (np.frombuffer(text, np.uint8)[offsets[:-1]] == ord("{")).all():
        return None
    column = pa.StringArray.from_buffers(len(values), pa.py_buffer(offsets), pa.py_buffer(text))
    try:
        column.validate(full=True)  # UTF-8
    except pa.ArrowInvalid:
        return None
    return column


def _read_column(field: Field, values: Sequence[Any], type_: "pa.DataType") -> "pa.Array":
    """Make a column of dates, or of dates and times, in any form that the API writes."""
    import pyarrow as pa

    read: Callable[[Any], Any] = naive_utc if field.kind is MOMENT else field.kind.read or str
    try:
        parsed = [None if value is None else read(value) for value in values]
    except ValueError:
        raise field.error() from None
    # Arrow converts times without a zone twenty times as fast; the cast then marks them as UTC.
    return pa.array(parsed, pa.timestamp("us") if field.kind is MOMENT else type_).cast(type_)


def _list_column(
    field: Field, model: type[RegistryRow], lists: Sequence[msgspec.Raw], type_: "pa.DataType"
) -> "pa.Array":
    """Make a column of lists from one batch of all their elements, read by the same rules."""
    import pyarrow as pa

    if not any(map(len, lists)):
        return pa.nulls(len(lists), type_)
    sent = list(map(bytes, lists))
    if {*sent} <= _NO_ELEMENTS:  # the usual case, checked quickly
        return pa.array([[] if text == b"[]" else None for text in sent], type_)
    try:
        rows, lengths = rows_of_lists(model, sent)
        batch = record_batch(model, rows)
    except msgspec.ValidationError:
        raise field.error() from None
    except FieldError as error:
        raise error.below(field.key) from None
    structs = pa.StructArray.from_arrays(batch.columns, fields=list(batch.schema))
    offsets = [0]
    for length in lengths:
        offsets.append(offsets[-1] + (length or 0))
    missing = pa.array([length is None for length in lengths], pa.bool_())
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), structs, type=type_, mask=missing
    )
