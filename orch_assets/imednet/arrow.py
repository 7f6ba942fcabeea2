"""Arrow schemas of the registry's tables, and pages turned into record batches.

The schema follows from the model alone, so that a table of no rows, or with columns of nothing
but nulls, has the same one. Objects without a fixed shape (``record_data``, and ``extra`` for what
the API description doesn't name) are JSON text, as it was sent.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from orch_assets.imednet.fields import (
    BOOL,
    DAY,
    MOMENT,
    NUMBER,
    OBJECT,
    TEXT,
    Field,
    FieldError,
    FieldType,
    fields_of,
    naive_utc,
)
from orch_assets.imednet.models import RegistryRow
from orch_assets.imednet.rows import WireRows, is_plain, rows_of_lists

if TYPE_CHECKING:
    import pyarrow as pa

# As the API writes them.
_LENGTHS = {MOMENT: len("2025-06-05 21:12:08"), DAY: len("2025-06-05")}

_NO_ELEMENTS = {b"", b"null", b"[]"}


@functools.cache
def arrow_schema(model: type[RegistryRow]) -> "pa.Schema":
    """Return the Arrow schema of a model's table."""
    import pyarrow as pa

    columns = [pa.field(field.name, _arrow_type(field.kind)) for field in fields_of(model)]
    return pa.schema([*columns, pa.field("extra", pa.string())])


def _arrow_type(kind: FieldType) -> "pa.DataType":
    import pyarrow as pa

    if kind.row is not None:
        return pa.list_(pa.struct(list(arrow_schema(kind.row))))
    types = {
        TEXT: pa.string(),
        NUMBER: pa.int64(),
        BOOL: pa.bool_(),
        MOMENT: pa.timestamp("us", "UTC"),
        DAY: pa.date32(),
        OBJECT: pa.string(),
    }
    return types[kind]


def record_batch(model: type[RegistryRow], rows: WireRows) -> "pa.RecordBatch":
    """Make the record batch of rows.

    Raises:
        FieldError: a value isn't what its field must be.
        UnicodeDecodeError: a text isn't UTF-8.
    """
    import pyarrow as pa

    schema = arrow_schema(model)
    usual = _usual_columns(model, rows)
    columns = [
        usual[field.name]
        if field.name in usual
        else _column(field, rows.column(field.name), schema.field(field.name).type)
        for field in fields_of(model)
    ]
    texts = pa.string()
    columns.append(
        pa.nulls(len(rows.rows), texts) if rows.extra is None else pa.array(rows.extra, texts)
    )
    return pa.RecordBatch.from_arrays(columns, schema=schema)


@dataclass(frozen=True)
class _Plan:
    """How the columns of a model that are neither objects nor lists are made, all at once.

    Arrow gives up the interpreter at every call; where many threads wait for it, each call costs
    a switch. So a page's plain columns are made in three calls instead of one or more for each.

    Attributes:
        names: the columns.
        lengths: the length of the text that each moment or day must be.
        types: as the values are sent, as they are read, and as they are called in the end.
    """

    names: Sequence[str]
    lengths: Mapping[str, int]
    types: "tuple[pa.StructType, pa.StructType, pa.StructType]"


@functools.cache
def _plan(model: type[RegistryRow]) -> _Plan:
    import pyarrow as pa

    schema = arrow_schema(model)
    plain = [one for one in fields_of(model) if is_plain(one)]
    kinds = {one.name: one.kind for one in plain}
    lengths = {name: _LENGTHS[kind] for name, kind in kinds.items() if kind in _LENGTHS}
    final = [schema.field(name) for name in kinds]
    read = [
        field.with_type(pa.timestamp("us")) if pa.types.is_timestamp(field.type) else field
        for field in final
    ]
    sent = [field.with_type(pa.string()) if field.name in lengths else field for field in final]
    types = tuple(map(pa.struct, (sent, read, final)))
    return _Plan(tuple(kinds), lengths, types)


def _usual_columns(model: type[RegistryRow], rows: WireRows) -> "dict[str, pa.Array]":
    """Return the plain columns of rows whose moments and days are written as the API writes them.

    Others have none here: they are read column by column, which names what is wrong with a value.
    """
    import pyarrow as pa

    plan = _plan(model)
    for name, length in plan.lengths.items():
        texts = rows.column(name)
        if not {len(text) for text in texts if text is not None} <= {length}:
            return {}
    sent, read, final = plan.types
    try:
        structs = pa.array(rows.values(len(plan.names)), sent, size=len(rows.rows))
        structs = structs.cast(read).view(final) if plan.lengths else structs
    except (pa.ArrowException, TypeError, OverflowError):
        return {}
    return dict(zip(plan.names, structs.flatten(), strict=True))


def _column(field: Field, values: Sequence[Any], type_: "pa.DataType") -> "pa.Array":
    import pyarrow as pa

    kind = field.kind
    if kind.row is not None:
        return _list_column(field, kind.row, values, type_)
    if kind is OBJECT:
        return _object_column(field, values)
    if kind.read is not None:
        return _read_column(field, values, type_)
    try:
        return pa.array(values, type_)
    except OverflowError:  # beyond 64 bits
        raise field.error() from None


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
    """Return the column where each value is an object, as in most tables; else None."""
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
    """Make a column of moments or days, in whatever way they are written."""
    import pyarrow as pa

    read: Callable[[Any], Any] = naive_utc if field.kind is MOMENT else field.kind.read or str
    try:
        found = [None if value is None else read(value) for value in values]
    except ValueError:
        raise field.error() from None
    # Arrow takes moments without a zone twenty times as fast, and then calls them UTC.
    return pa.array(found, pa.timestamp("us") if field.kind is MOMENT else type_).cast(type_)


def _list_column(
    field: Field, model: type[RegistryRow], lists: Sequence[msgspec.Raw], type_: "pa.DataType"
) -> "pa.Array":
    """Make a column of lists out of one batch of all their elements, so that both read alike."""
    import pyarrow as pa

    if not any(map(len, lists)):
        return pa.nulls(len(lists), type_)
    sent = list(map(bytes, lists))
    if {*sent} <= _NO_ELEMENTS:  # usual, and quick to say
        return pa.array([[] if one == b"[]" else None for one in sent], type_)
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
