"""Arrow schemas of iMednet's tables, and the record batches of their pages.

A schema follows from the model alone, so a table without rows, or with columns of nulls only, has
the same schema. Objects without a fixed shape are JSON text, as the API sent it: ``record_data``,
and ``extra`` for what the API description does not name.
"""

import contextlib
import functools
import itertools
import operator
import re
import struct
from collections.abc import Callable, Collection, Mapping, Sequence
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


@functools.cache
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
    made = {**_text_columns(model, rows), **_number_columns(model, rows)}
    columns = [
        made[field.name] if field.name in made else _column(field, rows.column(field.name), type_)
        for field, type_ in zip(fields_of(model), schema.types, strict=False)  # without `extra`
    ]
    if rows.extra is None:
        columns.append(_nulls(len(rows.rows), pa.string()))
    else:
        columns.append(pa.array(rows.extra, pa.string()))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


# Columns of one type are made together. For a page, calling Arrow and numpy once for each column
# takes as long as all the values. Most of these calls also let go of the interpreter lock, and it
# may take longer to get it back than the call takes.


def _text_columns(model: type[RegistryRow], rows: WireRows) -> "Mapping[str, pa.Array]":
    """Return the columns that are sent as text.

    Those with nulls are left out, and dates that aren't all written in the API's usual form.
    """
    import numpy as np
    import pyarrow as pa

    fields, joined = [], []
    for field in _text_fields(model):
        with contextlib.suppress(TypeError):  # null, or numbers for a date
            joined.append(_END.join(rows.column(field.name)))
            fields.append(field)
    ended = (_END.join(joined) + _END).encode()
    ends = np.flatnonzero(np.frombuffer(ended, np.uint8) == 0)
    count, texts = len(rows.rows), len(rows.rows) * len(fields)
    if len(ends) != texts or len(ended) > _MAX_BYTES:  # also if a text holds the character
        return {}
    offsets = np.zeros(texts + 1, np.int32)
    offsets[1:] = ends - np.arange(texts)
    buffers = pa.py_buffer(offsets), pa.py_buffer(ended.replace(_END.encode(), b""))
    every = pa.StringArray.from_buffers(texts, *buffers)
    made: dict[str, pa.Array] = {}
    first = 0
    for kind, group in itertools.groupby(fields, key=operator.attrgetter("kind")):
        names = [field.name for field in group]
        last = first + len(names) * count
        column = every.slice(first, last - first)
        if kind.length is not None:
            are_usual = (np.diff(offsets[first : last + 1]) == kind.length).all()
            column = _parsed(column, kind) if are_usual else None
        if column is not None:
            made |= _cut(column, names, count)
        first = last
    return made


@functools.cache
def _text_fields(model: type[RegistryRow]) -> Sequence[Field]:
    """Return the fields that are sent as text, those of one type beside each other."""
    fields = [field for field in fields_of(model) if field.kind.is_text]
    return sorted(fields, key=lambda field: field.kind.arrow)


def _number_columns(model: type[RegistryRow], rows: WireRows) -> "Mapping[str, pa.Array]":
    """Return the columns of whole numbers; those with nulls are left out."""
    import pyarrow as pa

    count = len(rows.rows)
    packed: dict[str, bytes] = {}
    for field in fields_of(model):
        if field.kind is NUMBER:
            with contextlib.suppress(struct.error):  # null, or beyond 64 bits
                # A sixth of the time that Arrow takes.
                packed[field.name] = struct.pack(f"{count}q", *rows.column(field.name))
    buffers = [None, pa.py_buffer(b"".join(packed.values()))]
    return _cut(pa.Array.from_buffers(pa.int64(), count * len(packed), buffers), packed, count)


def _cut(column: "pa.Array", names: Collection[str], count: int) -> "dict[str, pa.Array]":
    """Return columns of ``count`` values each that lie in one, one after the other."""
    return {name: column.slice(number * count, count) for number, name in enumerate(names)}


@functools.lru_cache(maxsize=32)
def _nulls(count: int, type_: "pa.DataType") -> "pa.Array":
    """Return a column of nulls: mostly, all pages of a table have the same one."""
    import pyarrow as pa

    return pa.nulls(count, type_)


def _column(field: Field, values: Sequence[Any], type_: "pa.DataType") -> "pa.Array":
    import pyarrow as pa

    kind = field.kind
    if kind.row is not None:
        return _list_column(field, kind.row, values, type_)
    if kind is OBJECT:
        return _object_column(field, values)
    if kind.length is not None:
        return _date_column(field, values)
    try:
        return pa.array(values, type_)
    except OverflowError:  # beyond 64 bits
        raise field.error() from None


def _date_column(field: Field, values: Sequence[Any]) -> "pa.Array":
    """Make a column of dates, or of dates and times, some of which are missing or unusual."""
    import pyarrow as pa

    kind, column = field.kind, None
    if {*map(len, filter(None, values))} <= {kind.length}:
        with contextlib.suppress(pa.ArrowException):  # numbers
            column = _parsed(pa.array(values, pa.string()), kind)
    return _read_column(field, values) if column is None else column


def _parsed(texts: "pa.StringArray", kind: FieldType) -> "pa.Array | None":
    """Return dates that are written in the API's usual form; None if one of them is no date."""
    import pyarrow as pa

    type_ = _arrow_type(kind)
    try:
        return texts.cast(pa.timestamp("us") if kind is MOMENT else type_).view(type_)
    except pa.ArrowException:
        return None


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


def _read_column(field: Field, values: Sequence[Any]) -> "pa.Array":
    """Make a column of dates, or of dates and times, in any form that the API writes."""
    import pyarrow as pa

    kind = field.kind
    read: Callable[[Any], Any] = naive_utc if kind is MOMENT else kind.read or str
    try:
        parsed = [None if value is None else read(value) for value in values]
    except ValueError:
        raise field.error() from None
    type_ = _arrow_type(kind)
    # Arrow converts times without a zone twenty times as fast; the cast then marks them as UTC.
    return pa.array(parsed, pa.timestamp("us") if kind is MOMENT else type_).cast(type_)


def _list_column(
    field: Field, model: type[RegistryRow], lists: Sequence[msgspec.Raw], type_: "pa.DataType"
) -> "pa.Array":
    """Make a column of lists from one batch of all their elements, read by the same rules."""
    import pyarrow as pa

    if not any(map(len, lists)):
        return _nulls(len(lists), type_)
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
