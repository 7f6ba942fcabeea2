"""Convert values to the JSON of a definition or an execution's input."""

import datetime as dt
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

# JSONPath and JSONata use numbers of double precision: larger integers would be rounded.
_EXACT = 2**53

Refuse = Callable[[str, str], Exception]


def plain(value: Any, place: str, refuse: Refuse, name: Callable[[str], str] = str) -> Any:
    """Return a value as plain JSON: mappings as dicts, sequences as lists, dates as ISO 8601.

    Args:
        value: any value.
        place: name of the value in errors; its parts are ``place.key`` and ``place[0]``.
        refuse: makes an error of a place and a problem. The problem contains no value.
        name: returns the name of a key for a place, as keys may be data; by default the key.

    Raises:
        Exception: what ``refuse`` returned, for a value that JSON can't represent.
    """
    if isinstance(value, int) and abs(value) > _EXACT:
        raise refuse(place, "Step Functions would round this number. Give it as text.")
    if isinstance(value, str):
        return _text(value, place, refuse)
    if isinstance(value, float) and not math.isfinite(value):
        raise refuse(place, "JSON has no NaN and no infinity. Leave it out, or give None.")
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        raise refuse(place, "the time has no time zone. Add one, such as datetime.timezone.utc.")
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
        f"a value of type {type(value).__name__} is not JSON. Give text, numbers, booleans, None, "
        "dates, lists or mappings of them.",
    )


def compact(value: Any) -> str:
    """Return plain JSON as compact text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def size(text: str) -> int:
    """Return the number of bytes in UTF-8, which AWS limits."""
    return len(text.encode("utf-8", "surrogatepass"))


def _key(key: Any, place: str, refuse: Refuse) -> str:
    if not isinstance(key, str):
        raise refuse(place, f"a key is a {type(key).__name__}; keys must be text.")
    return _text(key, place, refuse)


def _text(text: str, place: str, refuse: Refuse) -> str:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise refuse(place, "the text holds half a character (a lone surrogate). Remove it.")
    return text
