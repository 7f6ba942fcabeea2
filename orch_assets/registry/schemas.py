"""Arrow schemas of the registry's tables, and pages turned into record batches.

The schema follows from the model alone, so that a table of no rows, or with columns of nothing
but nulls, has the same one. Objects without a fixed shape (``record_data``, and ``extra`` for what
the API description doesn't name) are JSON text, as it was sent.
"""

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from orch_assets.registry.fields import (
    BOOL,
    DAY,
    MOMENT,
    NUMBER,
    OBJECT,
    TEXT,
    Field,
    FieldError,
    Kind,
    fields_of,
    naive_utc,
)
from orch_assets.registry.models import RegistryRow
from orch_assets.registry.wire import WireRows, rows_of_lists

if TYPE_CHECKING:
    import pyarrow as pa

# As the API writes them: 2025-06-05 21:12:08, 2025-06-05.
_MOMENT_LENGTH = 19
_DAY_LENGTH = 10

_NO_ELEMENTS = {b"", b"null", b"[]"}


@functools.cache
def arrow_schema(model: type[RegistryRow]) -> "pa.Schema":
    """Return the Arrow schema of a model's table."""
    import pyarrow as pa

    columns = [pa.field(field.name, _arrow_type(field.kind)) for field in fields_of(model)]
    return pa.schema([*columns, pa.field("extra", pa.string())])


def _arrow_type(kind: Kind) -> "pa.DataType":
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
    columns = [
        _column(field, values, type_)
        for field, values, type_ in zip(fields_of(model), rows.columns, schema.types, strict=False)
    ]
    columns.append(pa.array(rows.extra, pa.string()))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _column(field: Field, values: Sequence[Any], type_: "pa.DataType") -> "pa.Array":
    import pyarrow as pa

    kind = field.kind
    if kind.row is not None:
        return _list_column(field, kind.row, values, type_)
    if kind is OBJECT:
        return _object_column(field, values)
    if kind is MOMENT:
        # Arrow takes moments without a zone twenty times as fast, and then calls them UTC.
        return _moments(field, values, pa.timestamp("us"), _MOMENT_LENGTH).cast(type_)
    if kind is DAY:
        return _moments(field, values, type_, _DAY_LENGTH)
    try:
        return pa.array(values, type_)
    except OverflowError:  # beyond 64 bits
        raise field.error() from None


def _object_column(field: Field, values: Sequence[msgspec.Raw]) -> "pa.Array":
    import pyarrow as pa
    import pyarrow.compute as pc

    sent = [bytes(value) or None for value in values]
    with contextlib.suppress(pa.ArrowInvalid):  # no UTF-8
        column = pa.array(sent, pa.string())
        if pc.all(pc.starts_with(column, "{")).as_py() is not False:
            return column
    texts = [text and text.decode() for text in sent]
    if not all(text is None or text == "null" or text.startswith("{") for text in texts):
        raise field.error()
    return pa.array([None if text == "null" else text for text in texts], pa.string())


def _moments(field: Field, values: Sequence[Any], type_: "pa.DataType", length: int) -> "pa.Array":
    """Read moments or days; Arrow itself those that are written as the API writes them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    with contextlib.suppress(pa.ArrowInvalid, pa.ArrowTypeError, TypeError):
        texts = pa.array(values, pa.string())
        shortest_and_longest = pc.min_max(pc.binary_length(texts)).as_py().values()
        if {*shortest_and_longest} <= {length, None}:
            return texts.cast(type_)
    read: Callable[[Any], Any] = naive_utc if field.kind is MOMENT else field.kind.read or str
    try:
        return pa.array([None if value is None else read(value) for value in values], type_)
    except ValueError:
        raise field.error() from None


def _list_column(
    field: Field, model: type[RegistryRow], lists: Sequence[msgspec.Raw], type_: "pa.DataType"
) -> "pa.Array":
    """Make a column of lists out of one batch of all their elements, so that both read alike."""
    import pyarrow as pa

    sent = [bytes(one) for one in lists]
    if {*sent} <= _NO_ELEMENTS:  # the usual case, and quick to say
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
