"""Columns of Python objects: one type in a column, and what stands for a missing value."""

import datetime as dt
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orch_assets.errors import UnstorableTableError
from orch_assets.marked_names import named_type
from orch_assets.stores.formats.column_plans import ColumnPlan, Note, slicer
from orch_assets.stores.formats.moment_objects import as_typed, common_zone, in_zone, zoned_type
from orch_assets.stores.formats.nested_objects import (
    Containers,
    PlanColumn,
    objects_of,
    plan_containers,
    restore_containers,
)
from orch_assets.stores.refusing import storable

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    Objects = np.ndarray[Any, Any]

# What a column may hold where it holds nothing, as its note spells it.
_MISSING = ("None", "nan", "NA", "NaT")

_MAX_DECIMAL_DIGITS = 38  # of decimal128; DuckDB and Polars read no wider one
_MAX_INT64 = 2**63 - 1


def plan_objects(
    series: "pd.Series[Any]", label: str, rows: "Objects | None", plan: PlanColumn
) -> ColumnPlan:
    """Decide how a column of objects is stored.

    Args:
        series: the column.
        label: how errors name it.
        rows: of the table that its values are in; by default each is in a row of its own.
        plan: plans what is inside of lists, tuples, dicts and arrays.

    Raises:
        UnstorableTableError: the values are of several types, or of one that can't be stored.
    """
    import numpy as np
    import pandas as pd

    values = series.to_numpy()
    kinds = _kinds(values)
    missing, present = np.zeros(len(values), dtype=bool), values
    if kinds != {str}:  # the usual column: nothing missing, nothing to look at twice
        missing = pd.isna(values)
        present = values[~missing]
        kinds = _kinds(present)
    places = np.arange(len(values)) if rows is None else rows
    if len(kinds) > 1:
        raise _mixed(kinds, present, places[~missing], label)
    # A column of nothing is text: other studies' columns of the same name mostly are.
    kind = kinds.pop() if kinds else str
    note: Note = {"kind": "object", "missing": _missing_note(values[missing], label)}
    held = plan_containers(kind, Containers(values, missing, places, label, plan))
    if held is not None:
        return replace(held, note={**note, **held.note})
    typed = as_typed(values, missing, kind, label)
    if typed is not None:
        held = plan(typed, label)
        return replace(held, note={**note, "typed": held.note})
    if kind is dt.datetime and (zone := common_zone(present, label)) is not None:
        arrow_type = zoned_type(present, zone, label)
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
    """Return the types of values; one of numpy's scalars is of Python's own type."""
    return {_kind(each) for each in set(map(type, values.tolist()))}


def _kind(each: type) -> type:
    import numpy as np

    if not issubclass(each, np.generic) or issubclass(each, (np.longdouble, np.timedelta64)):
        return each
    pairs = ((np.bool_, bool), (np.integer, int), (np.floating, float), (np.str_, str))
    return next((kind for scalar, kind in pairs if issubclass(each, scalar)), each)


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
        with storable(label, f"a decimal of {_MAX_DECIMAL_DIGITS} digits"):
            decimals = pa.infer_type(values)
            if decimals.precision > _MAX_DECIMAL_DIGITS:
                raise ValueError
            return decimals
    if kind is dt.datetime:
        return pa.timestamp("us")
    if kind is dt.time:
        if any(value.tzinfo is not None for value in values):
            raise UnstorableTableError(
                f"{label} holds times of day with time zones; take them away, or add the date."
            )
        return pa.time64("us")
    raise UnstorableTableError(
        f"{label} holds objects of type {named_type(kind)}, which can't be stored; "
        "convert it to text, numbers, timestamps, lists or dicts, or store a pyarrow.Table."
    )


def _missing_note(missing: "Objects", label: str) -> str | dict[str, str]:
    """Spell what stands for missing values: one word, or the packed sequence of several."""
    import pandas as pd

    codes: dict[type, int] = {type(None): 0, float: 1, type(pd.NA): 2, type(pd.NaT): 3}
    kinds = _kinds(missing)
    if not kinds <= set(codes):
        raise UnstorableTableError(
            f"{label} marks missing values by objects of a type of their own; replace them by None."
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
    """Return the objects, and what stood for the missing ones.

    Args:
        column: what was stored.
        note: of the column.
        restore: restores what is inside of lists, tuples, dicts and arrays.
    """
    import numpy as np
    import pandas as pd

    missing = note["missing"]
    values = _values(column, note, restore)
    marks: Objects = np.empty(len(_MISSING), dtype=object)
    marks[:] = [None, float("nan"), pd.NA, pd.NaT]
    where = column.is_null().to_numpy().astype(bool)
    if isinstance(missing, str):
        values[where] = marks[_MISSING.index(missing)]
    else:
        codes = np.frombuffer(zlib.decompress(b64decode(missing["sequence"])), dtype="uint8")
        values[where] = marks[codes]
    series: pd.Series[Any] = pd.Series(values, dtype=object)
    return series


def _values(column: "pa.ChunkedArray", note: Note, restore: Any) -> "Objects":
    import pandas as pd
    import pyarrow as pa

    if "items" in note or "fields" in note:
        return restore_containers(column, note, restore)
    if "typed" in note:
        typed: Objects = pd.Series(restore(column, note["typed"])).astype(object).to_numpy()
        return typed.copy()  # where nothing was to be done, it can't be changed
    if "zone" in note:
        moments = column.cast(pa.timestamp("us", "UTC")).to_pylist()
        return objects_of(each and in_zone(each, note["zone"]) for each in moments)
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        # Equal texts become one object, which to_numpy() doesn't do.
        text: Objects = column.to_pandas().to_numpy(dtype=object, copy=True)
        return text
    return objects_of(column.to_pylist())
