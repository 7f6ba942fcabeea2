"""Time zones in pandas: the same instant and an equal zone come back, whatever the library."""

import datetime as dt
import zoneinfo
from typing import Any

from orch_assets.marked_names import named_type
from orch_assets.stores.formats.column_plans import Note

_MINUTE = 60


def zone_note(zone: Any) -> Note:
    """Return a note from which :func:`zone_of` makes an equal zone.

    Raises:
        ValueError: another computer couldn't; the text describes the zone and holds no data.
    """
    if isinstance(zone, zoneinfo.ZoneInfo):
        if zone.key:
            return {"zoneinfo": zone.key}
        raise ValueError("a zone without a name")
    if isinstance(zone, dt.timezone):
        return {"offset": _seconds(zone)}
    library = type(zone).__module__.partition(".")[0]
    if library == "pytz":
        name = getattr(zone, "zone", None)
        return {"pytz": name} if name else {"pytz_offset": _seconds(zone)}
    if library == "dateutil":
        return _dateutil_note(zone)
    raise ValueError(f"a zone of the type {named_type(type(zone))}")


def zone_of(note: Note) -> dt.tzinfo:
    """Return the zone from a note."""
    (kind, value), *details = note.items()
    if kind == "zoneinfo":
        return zoneinfo.ZoneInfo(value)
    if kind == "offset":
        return dt.timezone(dt.timedelta(seconds=value))
    if kind.startswith("pytz"):
        return _pytz_zone(kind, value)
    return _dateutil_zone(kind, value, dict(details))


def arrow_zone(note: Note) -> str:
    """Return the zone's name for other tools; UTC for an offset, on which Polars fails."""
    names = (note.get(kind) for kind in ("zoneinfo", "pytz", "dateutil"))
    return str(next(filter(None, names), "UTC"))


def _seconds(zone: dt.tzinfo) -> float:
    offset = zone.utcoffset(None)
    if offset is None:
        raise ValueError(f"a zone of the type {named_type(type(zone))}")
    return offset.total_seconds()


def _pytz_zone(kind: str, value: Any) -> dt.tzinfo:
    try:
        import pytz
    except ImportError:  # pandas 3 doesn't require it
        if kind == "pytz":
            return zoneinfo.ZoneInfo(value)
        return dt.timezone(dt.timedelta(seconds=value))
    zone: dt.tzinfo
    zone = pytz.timezone(value) if kind == "pytz" else pytz.FixedOffset(int(value) // _MINUTE)
    return zone


# dateutil, whose zones boto3 and date parsers return


def _dateutil_note(zone: Any) -> Note:
    from dateutil import tz

    if zone == tz.UTC and isinstance(zone, tz.tzutc):
        return {"dateutil_utc": True}
    if isinstance(zone, tz.tzoffset):
        return {"dateutil_offset": _seconds(zone), "name": zone.tzname(None)}
    if isinstance(zone, tz.tzlocal):
        return _local_note(zone)
    if isinstance(zone, tz.tzfile):
        name = str(getattr(zone, "_filename", "")).rpartition("zoneinfo/")[2]
        if name and not name.startswith("/") and tz.gettz(name) == zone:
            return {"dateutil": name}
    raise ValueError(f"a zone of the type {named_type(type(zone))}")


def _local_note(zone: Any) -> Note:
    """Return a note of this computer's zone, if it is a fixed offset: no daylight saving."""
    winter, summer = (dt.datetime(2024, month, 1, tzinfo=zone) for month in (1, 7))
    offset = winter.utcoffset()
    # A zone that equals a fixed offset of the same name never has another offset.
    if offset is None or zone != _fixed(winter.tzname(), offset) or offset != summer.utcoffset():
        raise ValueError("the zone of this computer, which differs on other computers")
    return {"dateutil_local": offset.total_seconds(), "name": winter.tzname()}


def _fixed(name: str | None, offset: dt.timedelta) -> dt.tzinfo:
    from dateutil import tz

    zone: dt.tzinfo = tz.tzoffset(name, offset.total_seconds())
    return zone


def _dateutil_zone(kind: str, value: Any, details: Note) -> dt.tzinfo:
    from dateutil import tz

    utc: dt.tzinfo = tz.tzutc()
    local: dt.tzinfo = tz.tzlocal()
    if kind == "dateutil_utc":
        return utc
    if kind == "dateutil":
        named: dt.tzinfo | None = tz.gettz(value)
        return named or zoneinfo.ZoneInfo(value)  # which also reads the package tzdata
    fixed = _fixed(details["name"], dt.timedelta(seconds=value))
    return local if kind == "dateutil_local" and local == fixed else fixed
