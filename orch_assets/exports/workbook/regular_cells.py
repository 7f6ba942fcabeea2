"""Columns whose cells Excel holds as they are: most of them, so they are converted as a whole."""

from datetime import date
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pyarrow as pa

# Days from Excel's day 0, 30 December 1899, to 1970.
_TO_1970: Final = 25_569
_DAY_MS: Final = 86_400_000
# 1 March 1900, from which Excel's calendar is right, in days since 1970.
_FIRST_DAY: Final = (date(1900, 3, 1) - date(1970, 1, 1)).days
_LARGEST_INTEGER: Final = 10**15
# A number below the largest that has at most these decimal places has at most 15 digits.
_PLACES: Final = 9
_LARGEST: Final = 10**6


def regular_column(cells: "pa.Array") -> tuple[list[Any], list[Any]] | None:
    """Return the cells for a sheet, and as calamine returns them; with None for null.

    Returns:
        None if a cell needs to be looked at by itself.
    """
    import pyarrow.types as t

    if t.is_integer(cells.type):
        return _integers(cells)
    if t.is_float64(cells.type):
        return _floats(cells)
    if t.is_date32(cells.type):
        return _dates(cells)
    return _timestamps(cells) if t.is_timestamp(cells.type) else None


def _integers(cells: "pa.Array") -> tuple[list[Any], list[Any]] | None:
    import pyarrow as pa

    if not _within(cells, -_LARGEST_INTEGER, _LARGEST_INTEGER):
        return None
    return cells.to_pylist(), cells.cast(pa.float64()).to_pylist()


def _floats(cells: "pa.Array") -> tuple[list[Any], list[Any]] | None:
    import numpy as np

    # Null is NaN there, and NaN itself never comes here.
    numbers = cells.to_numpy(zero_copy_only=False)
    known = numbers[~np.isnan(numbers)]
    if not (abs(known) < _LARGEST).all() or not (known == known.round(_PLACES)).all():
        return None
    if ((known == 0) & np.signbit(known)).any():  # negative zero
        return None
    values = cells.to_pylist()
    return values, values


def _dates(cells: "pa.Array") -> tuple[list[Any], list[Any]] | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    days = cells.view(pa.int32())
    if not _within(days, _FIRST_DAY - 1, None):
        return None
    return pc.add(days, _TO_1970).to_pylist(), _objects(cells, "datetime64[D]")


def _timestamps(cells: "pa.Array") -> tuple[list[Any], list[Any]] | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        exact = cells.cast(pa.timestamp("ms", cells.type.tz)).view(pa.timestamp("ms"))
    except pa.ArrowInvalid:  # parts of a millisecond would be lost
        return None
    counts = exact.view(pa.int64())
    if not _within(counts, _FIRST_DAY * _DAY_MS - 1, None):
        return None
    serials = pc.add(pc.divide(counts.cast(pa.float64()), float(_DAY_MS)), float(_TO_1970))
    return serials.to_pylist(), _objects(exact, "datetime64[us]")


def _objects(cells: "pa.Array", type_: str) -> list[Any]:
    """Return dates or datetimes; numpy makes them in a tenth of the time that pyarrow takes."""
    found: list[Any] = cells.to_numpy(zero_copy_only=False).astype(type_).tolist()
    return found


def _within(cells: "pa.Array", above: int, below: int | None) -> bool:
    """Return whether all numbers are above one, and below another if there is one."""
    import pyarrow.compute as pc

    found = pc.min_max(cells).as_py()
    if found["min"] is None:
        return True
    return found["min"] > above and (below is None or found["max"] < below)
