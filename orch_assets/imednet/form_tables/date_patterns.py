"""Patterns of complete and partial dates, and what they read from a text.

In a pattern, ``YYYY``, ``MM``, ``MON``, ``DD``, ``hh``, ``mm`` and ``ss`` are the parts of a date
with time, and ``UN`` is a part that is entered as unknown. Everything else stands for itself.
"""

import re
from collections.abc import Iterable
from datetime import date
from typing import Final

from orch_assets.errors import SettingError

_MONTHS: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_MONTH: Final = "|".join(f"{name}|{name[:3]}" for name in _MONTHS)
_ZONE: Final = r"(?P<zone>Z|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)?"
_PARTS: Final = {
    "YYYY": r"(?P<year>\d{4})",
    "MON": rf"(?P<name>{_MONTH})",
    "MM": r"(?P<month>\d{1,2})",
    "DD": r"(?P<day>\d{1,2})",
    "hh": r"(?P<hour>[01]\d|2[0-3])",
    "mm": r"(?P<minute>[0-5]\d)",
    "ss": r"(?P<second>[0-5]\d(?:\.\d+)?)",
    "UNK": "UNK?",
    "UN": "UNK?",
}
_NUMBERS: Final = {"YYYY", "MM", "DD", "hh", "mm", "ss"}
_TOKEN: Final = re.compile(r"YYYY|MON|MM|DD|hh|mm|ss|UNK|UN|T(?=hh)|[^A-Za-z0-9]")

_DATES: Final = (
    "YYYY-MM-DD", "YYYY-MM-UN", "YYYY-UN-UN", "YYYY-MM", "YYYY-UN", "YYYY",
    "DD-MON-YYYY", "UN-MON-YYYY", "UN-UN-YYYY", "MON-YYYY", "UN-YYYY",
    "DD MON YYYY", "UN MON YYYY", "UN UN YYYY", "MON YYYY",
    "DDMONYYYY", "UNMONYYYY", "UNUNYYYY", "MONYYYY",
    "UN-UN-UN", "UN",
)  # fmt: skip
_TIMES: Final = ("YYYY-MM-DDT", "YYYY-MM-DD ", "DD-MON-YYYY ", "DD MON YYYY ", "DDMONYYYY ")

DATE_PATTERNS: Final = (
    *_DATES,
    *(f"{day}{time}" for day in _TIMES for time in ("hh:mm", "hh:mm:ss")),
)


class DatePatterns:
    """Reads dates, complete or partial, by patterns.

    Args:
        patterns: The patterns.

    Raises:
        SettingError: A pattern is invalid.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        if isinstance(patterns, str):
            raise SettingError("patterns", "must be several patterns, such as ['UN-MON-YYYY'].")
        self._patterns = [_compiled(pattern) for pattern in patterns]
        if not self._patterns:
            raise SettingError("patterns", "must have at least one pattern.")

    def read(self, text: str) -> str | None:
        """Return the part of a date that a text states, as ISO 8601.

        Returns:
            Empty if the text says that the date is unknown. None if no pattern reads the text, or
            if two read different dates.

        Example:
            >>> dates = DatePatterns(DATE_PATTERNS)
            >>> [dates.read(text) for text in ("UN-JAN-2013", "5 Jan 2013", "UNK", "30-Feb-2013")]
            ['2013-01', '2013-01-05', '', None]
        """
        matches = (pattern.fullmatch(text.strip()) for pattern in self._patterns)
        readings = {_iso(match.groupdict()) for match in matches if match} - {None}
        return readings.pop() if len(readings) == 1 else None


def _iso(parts: dict[str, str | None]) -> str | None:
    """Return ISO 8601, empty if there is no year, None if there is no such day."""
    year, day = parts.get("year"), parts.get("day")
    if year is None:
        return ""
    month = parts.get("month") or _month_number(parts.get("name"))
    try:
        date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        return None
    iso = "-".join([year, *(part.zfill(2) for part in (month, day) if part)])
    clock = [part for part in map(parts.get, ("hour", "minute", "second")) if part]
    return f"{iso}T{':'.join(clock)}{_iso_zone(parts.get('zone'))}" if clock else iso


def _month_number(name: str | None) -> str | None:
    if name is None:
        return None
    short = [month[:3] for month in _MONTHS]
    return str(short.index(name[:3].lower()) + 1)


def _iso_zone(zone: str | None) -> str:
    if not zone or zone in "Zz":
        return (zone or "").upper()
    digits = zone[1:].replace(":", "")
    return f"{zone[0]}{digits[:2]}:{digits[2:] or '00'}"


def _compiled(pattern: str) -> re.Pattern[str]:
    tokens = _TOKEN.findall(pattern)
    if problem := _problem(pattern, tokens):
        raise SettingError("patterns", f"has {pattern!r}, {problem}.")
    texts = [_PARTS.get(token, re.escape(token)) for token in tokens]
    for at, token in enumerate(tokens):
        beside = {*tokens[max(at - 1, 0) : at], *tokens[at + 1 : at + 2]}
        if token in {"MM", "DD"} and beside & _NUMBERS:  # 1122013 may be two days
            texts[at] = texts[at].replace("{1,2}", "{2}")
    zone = _ZONE if "hh" in tokens else ""
    return re.compile("".join(texts) + zone, re.ASCII | re.IGNORECASE)


def _problem(pattern: str, tokens: list[str]) -> str | None:
    if "".join(tokens) != pattern or not tokens:
        return "which must be made of YYYY, MM, MON, DD, hh, mm, ss, UN and punctuation"
    parts = [token for token in tokens if token in _PARTS and not token.startswith("UN")]
    if len(parts) != len({*parts}) or {"MM", "MON"} <= {*parts}:
        return "which has a part twice"
    has = ["YYYY" in parts, bool({"MM", "MON"} & {*parts}), "DD" in parts]
    has += ["hh" in parts, "mm" in parts, "ss" in parts]
    if has != sorted(has, reverse=True) or has[3] > has[4]:
        return "in which a larger part is missing: ISO 8601 has no partial date without it"
    if not parts and "UN" not in tokens and "UNK" not in tokens:
        return "which has neither a part of a date nor UN"
    if has[3] and tokens[-1] not in ("mm", "ss"):
        return "which must end with its time"
    return None
