"""Columns of Python objects: one type for each column, and how it marks missing values."""

import datetime as dt
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orch_assets.errors import UnstorableTableError
from orch_assets.marked_names import named_type
from orch_assets.stores.formats.arrow_types import MAX_DECIMAL_DIGITS
from orch_assets.stores.formats.column_plans import ColumnPlan, Note, Objects, slicer
from orch_assets.stores.formats.nested_objects import (
    Containers,
    PlanColumn,
    objects_of,
    plan_containers,
    restore_containers,
)
from orch_assets.stores.formats.refusing import storable
from orch_assets.stores.formats.zones import arrow_zone, zone_note, zone_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# The marks of missing values, as a note spells them.
_MISSING = ("None", "nan", "NA", "NaT")

_MAX_INT64 = 2**63 - 1


def plan_objects(
    series: "pd.Series[Any]", label: str, rows: "Objects | None", plan: PlanColumn
) -> ColumnPlan:
    """Decide how a column of objects is stored.

    Args:
        series: the column.
        label: how errors name the column.
        rows: for each value, its row in the table. By default, each value has a row of its own.
        plan: plans the items of lists, tuples, dicts and arrays.

    Raises:
        UnstorableTableError: the values have several types, or one that can't be stored.
    """
    import numpy as np
    import pandas as pd

    values = series.to_numpy()
    kinds = _kinds(values)
    missing, present = np.zeros(len(values), dtype=bool), values
    if kinds != {str}:  # the usual column has text only: no second pass over its values
        with storable(label, "object"):  # signalling NaN of decimals can't be compared
            missing = pd.isna(values)
        present = values[~missing]
        kinds = _kinds(present)
    positions = np.arange(len(values)) if rows is None else rows
    if len(kinds) > 1:
        raise _mixed(kinds, present, positions[~missing], label)
    # A column without values is text, as columns of that name in most other studies are.
    kind = kinds.pop() if kinds else str
    note: Note = {"kind": "object", "missing": _missing_note(values[missing], label)}
    nested = plan_containers(kind, Containers(values, missing, positions, label, plan))
    if nested is not None:
        return replace(nested, note={**note, **nested.note})
    series_of_type = _typed_series(values, missing, kind, label)
    if series_of_type is not None:
        typed = plan(series_of_type, label)
        return replace(typed, note={**note, "typed": typed.note})
    if kind is dt.datetime and (zone := _common_zone(present, label)) is not None:
        arrow_type = _zoned_type(present, zone, label)
        note["zone"] = zone
    else:
        arrow_type = _object_type(present, kind, label)
    return ColumnPlan(arrow_type, note, slicer(series, arrow_type, label))


def _mixed(
    kinds: Collection[type], present: "Objects", rows: "Objects", label: str
) -> UnstorableTableError:
    names = ", ".join(sorted(map(named_type, kinds)))
    first = _kind(type(present[0]))
    row = next(row for each, row in zip(present, rows, strict=True) if _kind(type(each)) != first)
    return UnstorableTableError(
        f"{label} mixes values of several types ({names}); the one at position {row} is the first "
        "that differs. Convert the column to one type."
    )


def _kinds(values: "Objects") -> set[type]:
    """Return the types of values, with Python's type for a numpy scalar."""
    return {_kind(each) for each in set(map(type, values.tolist()))}


def _kind(type_: type) -> type:
    import numpy as np

    if not issubclass(type_, np.generic) or issubclass(type_, (np.longdouble, np.timedelta64)):
        return type_
    pairs = ((np.bool_, bool), (np.integer, int), (np.floating, float), (np.str_, str))
    return next((kind for scalar, kind in pairs if issubclass(type_, scalar)), type_)


def _object_type(values: "Objects", kind: type, label: str) -> "pa.DataType":
    import pyarrow as pa

    simple = {
        str: pa.string(),
        bytes: pa.binary(),
        bool: pa.bool_(),
        float: pa.float64(),
        dt.date: pa.date32(),
        dt.timedelta: pa.duration("us"),
    }
    if kind in simple:
        return simple[kind]
    if kind is int:
        return pa.int64() if max(values) <= _MAX_INT64 else pa.uint64()
    if kind is Decimal:
        with storable(label, f"a decimal of {MAX_DECIMAL_DIGITS} digits"):
            decimals = pa.infer_type(values)
            if decimals.precision > MAX_DECIMAL_DIGITS:
                raise ValueError
            return decimals
    if kind is dt.datetime:
        return pa.timestamp("us")
    if kind is dt.time:
        if any(value.tzinfo is not None for value in values):
            raise UnstorableTableError(
                f"{label} holds times of day with time zones; remove the zones, or add the date."
            )
        return pa.time64("us")
    raise UnstorableTableError(
        f"{label} holds objects of type {named_type(kind)}, which can't be stored; "
        "convert it to text, numbers, timestamps, lists or dicts, or store a pyarrow.Table."
    )


def _missing_note(missing: "Objects", label: str) -> str | dict[str, str]:
    """Return the mark of all missing values, or the packed sequence of several marks."""
    import pandas as pd

    codes: dict[type, int] = {type(None): 0, float: 1, type(pd.NA): 2, type(pd.NaT): 3}
    kinds = _kinds(missing)
    if not kinds <= set(codes):
        raise UnstorableTableError(
            f"{label} marks missing values with objects of another type than None, NaN, NA and "
            "NaT; replace them with None."
        )
    if not kinds:
        return _MISSING[0]
    if len(kinds) == 1:
        return _MISSING[codes[kinds.pop()]]
    sequence = bytes(codes[_kind(type(each))] for each in missing.tolist())
    return {"sequence": b64encode(zlib.compress(sequence)).decode()}


def restore_objects(
    column: "pa.ChunkedArray", note: Note, restore: "Callable[[pa.ChunkedArray, Note], Any]"
) -> "pd.Series[Any]":
    """Return the original objects, with the original marks of missing values.

    Args:
        column: the stored column.
        note: the column's note.
        restore: restores the items of lists, tuples, dicts and arrays.
    """
    import numpy as np
    import pandas as pd

    missing = note["missing"]
    values = _values(column, note, restore)
    marks: Objects = np.empty(len(_MISSING), dtype=object)
    marks[:] = [None, float("nan"), pd.NA, pd.NaT]
    is_missing = column.is_null().to_numpy().astype(bool)
    if isinstance(missing, str):
        values[is_missing] = marks[_MISSING.index(missing)]
    else:
        codes = np.frombuffer(zlib.decompress(b64decode(missing["sequence"])), dtype="uint8")
        values[is_missing] = marks[codes]
    series: pd.Series[Any] = pd.Series(values, dtype=object)
    return series


def _values(column: "pa.ChunkedArray", note: Note, restore: Any) -> "Objects":
    import pandas as pd
    import pyarrow as pa

    if "items" in note or "fields" in note:
        return restore_containers(column, note, restore)
    if "typed" in note:
        typed: Objects = pd.Series(restore(column, note["typed"])).astype(object).to_numpy()
        return typed.copy()  # it is read-only if astype() had nothing to convert
    if "zone" in note:
        moments = column.cast(pa.timestamp("us", "UTC")).to_pylist()
        zone = zone_of(note["zone"])
        return objects_of(each and each.astimezone(zone) for each in moments)
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        # Equal texts become one object, unlike with to_numpy().
        text: Objects = column.to_pandas().to_numpy(dtype=object, copy=True)
        return text
    return objects_of(column.to_pylist())


# Timestamps and timedeltas of pandas, and Python's datetimes with a time zone


def _typed_series(values: "Objects", missing: "Objects", kind: type, label: str) -> Any:
    """Return a column of ``pandas.Timestamp`` or ``Timedelta`` as a series of pandas' own type.

    Returns:
        None if the values are neither.

    Raises:
        UnstorableTableError: the values have several units or time zones.
    """
    import numpy as np
    import pandas as pd

    if kind not in {pd.Timestamp, pd.Timedelta}:
        return None
    present = values[~missing]
    units = {value.unit for value in present}
    if len(units) > 1:
        raise UnstorableTableError(
            f"{label} holds times of several units ({', '.join(sorted(units))}); "
            "convert them by as_unit()."
        )
    letter = "m" if kind is pd.Timedelta else "M"
    naive: Objects = np.full(len(values), "NaT", dtype=f"{letter}8[{units.pop()}]")
    naive[~missing] = [value.asm8 for value in present]
    series: Any = pd.Series(naive)
    if kind is pd.Timedelta or _common_zone(present, label) is None:
        return series
    return series.dt.tz_localize("UTC").dt.tz_convert(present[0].tzinfo)


def _common_zone(moments: "Objects", label: str) -> Note | None:
    """Return a note of the time zone of all moments; None if they have no zone.

    Raises:
        UnstorableTableError: the moments have several zones, or one that can't be stored.
    """
    notes: list[Note | None] = []
    for zone in {id(each.tzinfo): each.tzinfo for each in moments}.values():
        try:
            note = None if zone is None else zone_note(zone)
        except ValueError as error:
            raise UnstorableTableError(
                f"{label} has times in {error}, which can't be stored; convert them to UTC."
            ) from None
        if note not in notes:
            notes.append(note)
    if len(notes) > 1:
        raise UnstorableTableError(
            f"{label} holds times of several time zones; convert them to UTC."
        )
    return notes[0]


def _zoned_type(moments: "Objects", zone: Note, label: str) -> "pa.DataType":
    """Return the Arrow type of Python's datetimes in a time zone.

    Raises:
        UnstorableTableError: a datetime falls into an hour that its zone's clocks skip.
    """
    import pyarrow as pa

    restored = zone_of(zone)
    try:
        exist = all(each.astimezone(dt.UTC).astimezone(restored) == each for each in moments)
    except OverflowError:  # at the ends of the calendar
        exist = False
    if not exist:
        raise UnstorableTableError(
            f"{label} holds a time that doesn't exist in its time zone; convert it to UTC."
        )
    return pa.timestamp("us", arrow_zone(zone))
