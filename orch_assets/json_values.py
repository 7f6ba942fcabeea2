"""Values as JSON has them: what a result that is no table may be."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from orch_assets.marked_names import MarkedError, named, named_type

# A name that a programmer chose, and that a message may show. What has capitals, blanks or other
# characters may be a value of the data, such as a subject's key.
_SHOWN_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
MAX_SHOWN_NAMES: Final = 50

_MISSING_OF_PANDAS: Final = {"NAType", "NaTType"}
_PLAIN_NUMPY: Final = "biufU"  # kinds: truth, whole numbers, floats, text


class NotJsonError(MarkedError, ValueError):
    """A value that is not JSON-serializable; the message says where, without data."""


def is_shown_name(name: object) -> bool:
    """Whether a name in a mapping is one that events and errors may show."""
    return isinstance(name, str) and _SHOWN_NAME.fullmatch(name) is not None


def json_value(value: Any, *, missing_as_null: bool = False) -> Any:
    """Return a value as JSON gives it back: dicts, lists, text, numbers, booleans and None.

    A tuple becomes a list, one of numpy's scalars Python's own.

    Args:
        value: the value.
        missing_as_null: makes None of what is missing: NaN, and ``NA`` and ``NaT`` of pandas.

    Raises:
        NotJsonError: it is not JSON-serializable; a key that isn't text, for one.

    Example:
        >>> json_value({"mean_age": float("nan"), "sites": ("A", "B")}, missing_as_null=True)
        {'mean_age': None, 'sites': ['A', 'B']}
    """
    try:
        plain = _Reading(missing_as_null=missing_as_null).plain(value, "")
        to_json(plain)
    except RecursionError:
        raise NotJsonError("It is nested too deeply, or holds itself.") from None
    except UnicodeEncodeError:
        raise NotJsonError("It holds text with half a character (a lone surrogate).") from None
    except ValueError as error:
        if isinstance(error, NotJsonError):
            raise
        raise NotJsonError("It holds a number of too many digits.") from None
    return plain


def to_json(value: Any) -> bytes:
    """Return the JSON, as UTF-8, of what :func:`json_value` returned."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def exact_json(value: Any) -> bool:
    """Whether JSON gives back a value with each of its types: no tuple, no NaN, no key but text."""
    try:
        to_json(value)
        return _is_exact(value)
    except (TypeError, ValueError, RecursionError):
        return False


def _is_exact(value: Any) -> bool:
    if type(value) is dict:
        return all(type(key) is str and _is_exact(each) for key, each in value.items())
    if type(value) is list:
        return all(map(_is_exact, value))
    return value is None or type(value) in {str, bool, int, float}


@dataclass(frozen=True)
class _Reading:
    missing_as_null: bool

    def plain(self, value: Any, where: str) -> Any:
        """Return the value at a place in the result as JSON gives it back."""
        package = type(value).__module__.partition(".")[0]
        if package in {"numpy", "pandas"}:
            value = self._python_value(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return str.__str__(value)  # an enumeration's, too
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return self._float(value, where)
        if isinstance(value, Mapping):
            return self._mapping(value, where)
        if isinstance(value, (list, tuple)):
            return [self.plain(each, f"{where}[{place}]") for place, each in enumerate(value)]
        kind = _type_text(type(value))
        raise NotJsonError(f"{_at(where)} is of the type {kind}{_advice(value)}.")

    def _python_value(self, value: Any) -> Any:
        """Return Python's own value for one of numpy's scalars, None for pandas' missing ones."""
        if self.missing_as_null and type(value).__name__ in _MISSING_OF_PANDAS:
            return None
        scalar = getattr(value, "shape", None) == () and value.dtype.kind in _PLAIN_NUMPY
        return value.item() if scalar else value

    def _float(self, value: float, where: str) -> float | None:
        if math.isfinite(value):
            return float(value)
        if math.isnan(value) and self.missing_as_null:
            return None
        what = "NaN" if math.isnan(value) else "infinite"
        raise NotJsonError(f"{_at(where)} is {what}; return None, or text, instead.")

    def _mapping(self, value: Mapping[Any, Any], where: str) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        shown = len(value) <= MAX_SHOWN_NAMES
        for place, (key, each) in enumerate(value.items(), start=1):
            if not isinstance(key, str):
                raise NotJsonError(
                    f"Key {place} of {_of(where)} is of the type {named_type(type(key))}, and keys "
                    "are text in JSON; make text of it, for example by str()."
                )
            name = str.__str__(key)
            shown_name = shown and is_shown_name(name)
            step = f"[{_key_text(name, place)}]" if shown_name else f"[key {place}]"
            plain[name] = self.plain(each, where + step)
        if len(plain) < len(value):
            raise NotJsonError(f"Two keys of {_of(where)} are the same text; rename one.")
        return plain


def _at(where: str) -> str:
    return f"The value at result{where}" if where else "The result"


def _key_text(name: str, place: int) -> str:
    return named(name, f"key {place}", shown=f'"{name}"')


def _type_text(kind: type) -> str:
    package = kind.__module__.partition(".")[0]
    text = named_type(kind)
    return text if package == "builtins" or text != kind.__name__ else f"{package}.{text}"


def _of(where: str) -> str:
    return f"result{where}" if where else "the result"


def _advice(value: Any) -> str:
    if hasattr(value, "isoformat"):
        return "; make text of it, by isoformat()"
    if isinstance(value, (set, frozenset)):
        return "; make a list of it, by sorted()"
    if hasattr(value, "tolist"):
        return "; make a list of it, by tolist()"
    return ""
