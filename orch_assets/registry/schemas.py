"""Arrow schemas of the registry's tables, and pages turned into record batches.

The schema follows from the model alone, so that a table of no rows, or with columns of nothing
but nulls, has the same one. Objects without a fixed shape (``record_data``, and ``extra`` for what
the API description doesn't name) are JSON text.
"""

import decimal
import functools
from collections.abc import Mapping, Sequence
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
    extra_of,
    fields_of,
    naive_utc,
)
from orch_assets.registry.models import RegistryRow

if TYPE_CHECKING:
    import pyarrow as pa

# Decimals, because a float would turn the API's 1.10 into 1.1.
_to_json = msgspec.json.Encoder(decimal_format="number").encode
exact_number = decimal.Decimal


def json_text(value: Any) -> str:
    """Return the value as compact JSON, characters beyond ASCII as they are."""
    return _to_json(value).decode()


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


def record_batch(model: type[RegistryRow], rows: Sequence[Mapping[str, Any]]) -> "pa.RecordBatch":
    """Make the record batch of a page.

    Raises:
        FieldError: a value isn't what its field must be.
    """
    import pyarrow as pa

    columns = [_column(field, [row.get(field.key) for row in rows]) for field in fields_of(model)]
    columns.append(pa.array([_extra_text(model, row) for row in rows], pa.string()))
    return pa.RecordBatch.from_arrays(columns, schema=arrow_schema(model))


def _extra_text(model: type[RegistryRow], row: Mapping[str, Any]) -> str | None:
    extra = extra_of(model, row)
    return json_text(extra) if extra else None


def _column(field: Field, values: list[Any]) -> "pa.Array":
    import pyarrow as pa

    kind = field.kind
    # Arrow itself would take 1.5 for a 1 in a column of int64.
    if not {*map(type, values)} - {type(None)} <= kind.accepts:
        raise field.error()
    if kind.row is not None:
        return _list_column(field, kind.row, values)
    if kind is OBJECT:
        values = [None if value is None else json_text(value) for value in values]
    elif kind is MOMENT:
        # Arrow takes moments without a zone twenty times as fast, and then calls them UTC.
        return pa.array(_each(field, naive_utc, values), pa.timestamp("us")).cast(_arrow_type(kind))
    elif kind.read is not None:
        values = _each(field, kind.read, values)
    try:
        return pa.array(values, _arrow_type(kind))
    except OverflowError:  # beyond 64 bits
        raise field.error() from None


def _each(field: Field, read: Any, values: list[Any]) -> list[Any]:
    try:
        return [None if value is None else read(value) for value in values]
    except ValueError:
        raise field.error() from None


def _list_column(field: Field, model: type[RegistryRow], lists: list[Any]) -> "pa.Array":
    """Make a column of lists out of one batch of all their elements, so that both read alike."""
    import pyarrow as pa

    elements = [element for one in lists if one is not None for element in one]
    if {*map(type, elements)} - {dict}:
        raise field.error()
    try:
        batch = record_batch(model, elements)
    except FieldError as error:
        raise error.below(field.key) from None
    structs = pa.StructArray.from_arrays(batch.columns, fields=list(batch.schema))
    offsets = [0]
    for one in lists:
        offsets.append(offsets[-1] + len(one or ()))
    missing = pa.array([one is None for one in lists], pa.bool_())
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), structs, type=_arrow_type(field.kind), mask=missing
    )
