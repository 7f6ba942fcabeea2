"""Columns of Python objects: one type in a column, and what stands for a missing value."""

import datetime as dt
import zlib
from base64 import b64decode, b64encode
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orch_assets.errors import UnstorableTableError
from orch_assets.stores.refusing import storable

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

# What a column may hold where it holds nothing, as its note spells it.
_MISSING = ("None", "nan", "NA", "NaT")

_MAX_DECIMAL_DIGITS = 38  # of decimal128; DuckDB and Polars read no wider one
_MAX_INT64 = 2**63 - 1


def plan_objects(
    series: "pd.Series[Any]", label: str
) -> "tuple[pa.DataType, str | dict[str, str]]":
    """Return a column's Arrow type, and what stands for its missing values.

    Raises:
        UnstorableTableError: the values are of several types, or of one that can't be stored.
    """
    import pandas as pd

    values = series.to_numpy()
    kinds = _kinds(values)
    missing, present = values[:0], values
    if kinds != {str}:  # the usual column: nothing missing, nothing to look at twice
        where = pd.isna(values)
        missing, present = values[where], values[~where]
        kinds = _kinds(present)
    if len(kinds) > 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise UnstorableTableError(
            f"{label} mixes values of several types ({names}); convert it to one of them."
        )
    # A column of nothing is text: other studies' columns of the same name mostly are.
    arrow_type = _object_type(present, kinds.pop() if kinds else str, label)
    return arrow_type, _missing_note(missing, label)


def _kinds(values: "np.ndarray[Any, Any]") -> set[type]:
    """Return the types of values; one of numpy's scalars is of Python's own type."""
    return {_kind(each) for each in set(map(type, values.tolist()))}


def _kind(each: type) -> type:
    import numpy as np

    if not issubclass(each, np.generic) or issubclass(each, (np.longdouble, np.timedelta64)):
        return each
    pairs = ((np.bool_, bool), (np.integer, int), (np.floating, float), (np.str_, str))
    return next((kind for scalar, kind in pairs if issubclass(each, scalar)), each)


def _object_type(values: "np.ndarray[Any, Any]", kind: type, label: str) -> "pa.DataType":
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
    if kind in (dt.datetime, dt.time):
        if any(value.tzinfo is not None for value in values):
            raise UnstorableTableError(
                f"{label} holds {kind.__name__} objects with time zones; "
                "convert it with pandas.to_datetime()."
            )
        return pa.timestamp("us") if kind is dt.datetime else pa.time64("us")
    raise UnstorableTableError(
        f"{label} holds objects of type {kind.__name__}, which can't be stored; "
        "convert it to text, numbers or timestamps, or store a pyarrow.Table."
    )


def _missing_note(missing: "np.ndarray[Any, Any]", label: str) -> str | dict[str, str]:
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


def restore_objects(column: "pa.ChunkedArray", missing: str | dict[str, str]) -> "pd.Series[Any]":
    """Return the objects, and what stood for the missing ones."""
    import numpy as np
    import pandas as pd

    values = _objects(column)
    marks: np.ndarray[Any, Any] = np.empty(len(_MISSING), dtype=object)
    marks[:] = [None, float("nan"), pd.NA, pd.NaT]
    where = column.is_null().to_numpy().astype(bool)
    if isinstance(missing, str):
        values[where] = marks[_MISSING.index(missing)]
    else:
        codes = np.frombuffer(zlib.decompress(b64decode(missing["sequence"])), dtype="uint8")
        values[where] = marks[codes]
    series: pd.Series[Any] = pd.Series(values, dtype=object)
    return series


def _objects(column: "pa.ChunkedArray") -> "np.ndarray[Any, Any]":
    import numpy as np
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        # Equal texts become one object, which to_numpy() doesn't do.
        text: np.ndarray[Any, Any] = column.to_pandas().to_numpy(dtype=object, copy=True)
        return text
    values: np.ndarray[Any, Any] = np.empty(len(column), dtype=object)
    values[:] = column.to_pylist()
    return values
