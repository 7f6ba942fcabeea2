"""What enters a definition or an execution, as plain JSON."""

import datetime as dt
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

# Step Functions' languages count in double precision.
_EXACT = 2**53

Refuse = Callable[[str, str], Exception]


def plain(value: Any, place: str, refuse: Refuse, name: Callable[[str], str] = str) -> Any:
    """Return a value as plain JSON: mappings as dicts, sequences as lists, dates as ISO 8601.

    Args:
        value: what the caller gave.
        place: what to call it where it is wrong; a part of it is ``place.key`` or ``place[0]``.
        refuse: makes the error of a place and a problem. No problem holds a value.
        name: returns what to call a key in a place, for keys that may be values; by default itself.

    Raises:
        Exception: what ``refuse`` made, for what JSON can't carry.
    """
    if isinstance(value, int) and abs(value) > _EXACT:
        raise refuse(place, "the number would be rounded on its way. Give it as text.")
    if isinstance(value, str):
        return _text(value, place, refuse)
    if isinstance(value, float) and not math.isfinite(value):
        raise refuse(place, "JSON has no NaN and no infinity. Leave it out, or give null.")
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        raise refuse(place, "the time has no zone. Give it one, such as datetime.timezone.utc.")
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {
            _key(key, place, refuse): plain(v, f"{place}.{name(key)}", refuse, name)
            for key, v in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return [plain(item, f"{place}[{i}]", refuse, name) for i, item in enumerate(value)]
    raise refuse(
        place,
        f"JSON can't carry a {type(value).__name__}. Give text, numbers, booleans, null, dates, "
        "lists or mappings of them.",
    )


def compact(value: Any) -> str:
    """Return plain JSON as the text that is sent."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def size(text: str) -> int:
    """Return the size as AWS counts it: bytes of UTF-8."""
    return len(text.encode("utf-8", "surrogatepass"))


def _key(key: Any, place: str, refuse: Refuse) -> str:
    if not isinstance(key, str):
        raise refuse(place, f"a key is a {type(key).__name__}; JSON's keys are text.")
    return _text(key, place, refuse)


def _text(text: str, place: str, refuse: Refuse) -> str:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise refuse(place, "the text holds half a character (a lone surrogate). Remove it.")
    return text
