"""Arrow schemas of iMednet's tables, and the record batches of their pages.

A schema follows from the model alone, so a table without rows, or with columns of nulls only, has
the same schema. Objects without a fixed shape are JSON text, as the API sent it: ``record_data``,
and ``extra`` for what the API description does not name.
"""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from orch_assets.imednet.fields import (
    MOMENT,
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
    scalars = _scalar_columns(model, rows)
    columns = [
        scalars[field.name]
        if field.name in scalars
        else _column(field, rows.column(field.name), schema.field(field.name).type)
        for field in fields_of(model)
    ]
    texts = pa.string()
    columns.append(
        pa.nulls(len(rows.rows), texts) if rows.extra is None else pa.array(rows.extra, texts)
    )
    return pa.RecordBatch.from_arrays(columns, schema=schema)


@dataclass(frozen=True)
class _ScalarPlan:
    """How a model's scalar columns (neither objects nor lists) are made, all at once.

    Arrow releases the interpreter lock at every call. Where many threads wait for the lock, each
    call costs a switch. So a page's scalar columns are made in three calls, instead of one or more
    calls for each column.

    Attributes:
        names: The columns.
        lengths: For each column of dates, or of dates and times: the length that its texts must
            have.
        types: The struct types of the three steps: the values as sent, as parsed, and in the end.
    """

    names: Sequence[str]
    lengths: Mapping[str, int]
    types: "tuple[pa.StructType, pa.StructType, pa.StructType]"


@functools.cache
def _scalar_plan(model: type[RegistryRow]) -> _ScalarPlan:
    import pyarrow as pa

    schema = arrow_schema(model)
    kinds = {field.name: field.kind for field in fields_of(model) if field.kind.is_scalar}
    lengths = {name: kind.length for name, kind in kinds.items() if kind.length is not None}
    final = [schema.field(name) for name in kinds]
    parsed = [
        field.with_type(pa.timestamp("us")) if pa.types.is_timestamp(field.type) else field
        for field in final
    ]
    sent = [field.with_type(pa.string()) if field.name in lengths else field for field in final]
    types = tuple(map(pa.struct, (sent, parsed, final)))
    return _ScalarPlan(tuple(kinds), lengths, types)


def _scalar_columns(model: type[RegistryRow], rows: WireRows) -> "dict[str, pa.Array]":
    """Return the scalar columns, if all dates and times are written in the API's usual form.

    Otherwise return nothing: the columns are then read one by one, which also names the field of
    a wrong value.
    """
    import pyarrow as pa

    plan = _scalar_plan(model)
    for name, length in plan.lengths.items():
        texts = rows.column(name)
        if not {len(text) for text in texts if text is not None} <= {length}:
            return {}
    sent, parsed, final = plan.types
    try:
        structs = pa.array(rows.values(len(plan.names)), sent, size=len(rows.rows))
        structs = structs.cast(parsed).view(final) if plan.lengths else structs
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
