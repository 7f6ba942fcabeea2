"""Lengths of time as people write them, and how long ago something was."""

import re
from datetime import datetime, timedelta
from typing import Final

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION: Final = re.compile(rf"(\d{{1,9}}(?:\.\d{{1,9}})?)\s*([{''.join(_UNITS)}])")


def parse_duration(text: str) -> timedelta:
    """Return the duration that a text such as ``90s``, ``10m``, ``36h`` or ``1.5d`` means.

    Raises:
        ValueError: It isn't a number and a unit (``s``, ``m``, ``h``, ``d`` or ``w``), or not more
            than 0.

    Example:
        >>> parse_duration("36h")
        datetime.timedelta(days=1, seconds=43200)
    """
    match = _DURATION.fullmatch(text.strip().lower())
    try:
        duration = timedelta(**{_UNITS[match[2]]: float(match[1])}) if match else timedelta()
    except OverflowError:
        duration = timedelta()
    if not duration:
        raise ValueError("write a number and a unit: 90s, 10m, 36h, 2d or 1w")
    return duration


def as_text(duration: timedelta) -> str:
    """Return a duration in the largest unit that needs no fraction, such as ``36 h``."""
    seconds = max(0, round(duration.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def age_hours(since: datetime, now: datetime) -> float:
    """Return the hours since a moment, with one decimal; 0 for a moment to come.

    Both moments have a time zone.
    """
    return max(0.0, round((now - since).total_seconds() / 3600, 1))
