"""Columns of moments and spans as objects: pandas' own, and Python's with a time zone."""

import datetime as dt
from typing import TYPE_CHECKING, Any

from orch_assets.errors import UnstorableTableError
from orch_assets.stores.formats.column_plans import Note
from orch_assets.stores.formats.zones import arrow_zone, zone_note, zone_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Objects = np.ndarray[Any, Any]


def as_typed(values: "Objects", missing: "Objects", kind: type, label: str) -> Any:
    """Return a column of ``pandas.Timestamp`` or ``Timedelta`` as pandas' own type has it.

    Returns:
        a series; None where the values are neither.

    Raises:
        UnstorableTableError: they are of several units or time zones.
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
    plain: Objects = np.full(len(values), "NaT", dtype=f"{letter}8[{units.pop()}]")
    plain[~missing] = [value.asm8 for value in present]
    series: Any = pd.Series(plain)
    if kind is pd.Timedelta or common_zone(present, label) is None:
        return series
    return series.dt.tz_localize("UTC").dt.tz_convert(present[0].tzinfo)


def common_zone(moments: "Objects", label: str) -> Note | None:
    """Return a note of the time zone that all moments are in; None where they are in none.

    Raises:
        UnstorableTableError: they are in several, or in one that can't be stored.
    """
    found: list[Note | None] = []
    for zone in {id(each.tzinfo): each.tzinfo for each in moments}.values():
        try:
            note = None if zone is None else zone_note(zone)
        except ValueError as error:
            raise UnstorableTableError(
                f"{label} has times in {error}, which can't be stored; make them UTC."
            ) from None
        if note not in found:
            found.append(note)
    if len(found) > 1:
        raise UnstorableTableError(f"{label} holds times of several time zones; make them UTC.")
    return found[0]


def zoned_type(moments: "Objects", zone: Note, label: str) -> "pa.DataType":
    """Return the Arrow type of Python's moments in a time zone.

    Raises:
        UnstorableTableError: there is no such moment in that zone, when clocks are put forward.
    """
    import pyarrow as pa

    try:
        exist = all(in_zone(each.astimezone(dt.UTC), zone) == each for each in moments)
    except OverflowError:  # at the ends of the calendar
        exist = False
    if not exist:
        raise UnstorableTableError(
            f"{label} holds a time that doesn't exist in its time zone; make it UTC."
        )
    return pa.timestamp("us", arrow_zone(zone))


def in_zone(moment: dt.datetime, zone: Note) -> dt.datetime:
    """Return a moment in the time zone that a note is of."""
    return moment.astimezone(zone_of(zone))
