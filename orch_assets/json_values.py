"""Conversion to JSON of results that are not tables."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from orch_assets.marked_names import MarkedError, named, named_type

# A name of this form was chosen by a programmer, so messages may show it. A name with capitals,
# spaces or other characters may be a value of the data, such as a subject's key.
_SHOWN_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
MAX_SHOWN_NAMES: Final = 50

_MISSING_OF_PANDAS: Final = {"NAType", "NaTType"}
_PLAIN_NUMPY: Final = "biufU"  # kinds: boolean, integer, unsigned integer, float, text


class NotJsonError(MarkedError, ValueError):
    """A value is not JSON-serializable. The message says where it is, without data."""


def is_shown_name(name: object) -> bool:
    """Return whether events and errors may show a name of a mapping."""
    return isinstance(name, str) and _SHOWN_NAME.fullmatch(name) is not None


def json_value(value: Any, *, missing_as_null: bool = False) -> Any:
    """Return a value as JSON gives it back: dicts, lists, text, numbers, booleans and None.

    A tuple becomes a list, and a numpy scalar becomes a Python value.

    Args:
        value: The value.
        missing_as_null: Whether missing values become None: NaN, and pandas' ``NA`` and ``NaT``.

    Raises:
        NotJsonError: The value is not JSON-serializable; for example, a key is not text.

    Example:
        >>> json_value({"mean_age": float("nan"), "sites": ("A", "B")}, missing_as_null=True)
        {'mean_age': None, 'sites': ['A', 'B']}
    """
    try:
        converted = _Converter(missing_as_null=missing_as_null).convert(value, "")
        to_json(converted)
    except RecursionError:
        raise NotJsonError("It is nested too deeply, or holds itself.") from None
    except UnicodeEncodeError:
        raise NotJsonError("It holds text with half a character (a lone surrogate).") from None
    except ValueError as error:
        if isinstance(error, NotJsonError):
            raise
        raise NotJsonError("It holds a number of too many digits.") from None
    return converted


def to_json(value: Any) -> bytes:
    """Return a value of :func:`json_value` as JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def exact_json(value: Any) -> bool:
    """Return whether JSON preserves all types of a value: no tuples, no NaN, only text as keys."""
    try:
        to_json(value)
        return _is_exact(value)
    except (TypeError, ValueError, RecursionError):
        return False


def _is_exact(value: Any) -> bool:
    if type(value) is dict:
        return all(type(key) is str and _is_exact(member) for key, member in value.items())
    if type(value) is list:
        return all(map(_is_exact, value))
    return value is None or type(value) in {str, bool, int, float}


@dataclass(frozen=True)
class _Converter:
    missing_as_null: bool

    def convert(self, value: Any, path: str) -> Any:
        """Return the value at a path of the result as JSON gives it back."""
        package = type(value).__module__.partition(".")[0]
        if package in {"numpy", "pandas"}:
            value = self._python_value(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return str.__str__(value)  # also for members of a text enumeration
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return self._float(value, path)
        if isinstance(value, Mapping):
            return self._mapping(value, path)
        if isinstance(value, (list, tuple)):
            return [self.convert(item, f"{path}[{index}]") for index, item in enumerate(value)]
        type_name = _type_name(type(value))
        raise NotJsonError(f"{_value_at(path)} is of the type {type_name}{_advice(value)}.")

    def _python_value(self, value: Any) -> Any:
        """Return the Python value of a numpy scalar, and None for a missing value of pandas."""
        if self.missing_as_null and type(value).__name__ in _MISSING_OF_PANDAS:
            return None
        scalar = getattr(value, "shape", None) == () and value.dtype.kind in _PLAIN_NUMPY
        return value.item() if scalar else value

    def _float(self, value: float, path: str) -> float | None:
        if math.isfinite(value):
            return float(value)
        if math.isnan(value) and self.missing_as_null:
            return None
        problem = "NaN" if math.isnan(value) else "infinite"
        raise NotJsonError(f"{_value_at(path)} is {problem}; return None, or text, instead.")

    def _mapping(self, value: Mapping[Any, Any], path: str) -> dict[str, Any]:
        converted: dict[str, Any] = {}
        may_show_names = len(value) <= MAX_SHOWN_NAMES
        for position, (key, member) in enumerate(value.items(), start=1):
            if not isinstance(key, str):
                raise NotJsonError(
                    f"Key {position} of {_container_at(path)} is of the type "
                    f"{named_type(type(key))}, and keys are text in JSON; convert it to text, for "
                    "example with str()."
                )
            name = str.__str__(key)
            is_shown = may_show_names and is_shown_name(name)
            step = f"[{_key_text(name, position)}]" if is_shown else f"[key {position}]"
            converted[name] = self.convert(member, path + step)
        if len(converted) < len(value):
            raise NotJsonError(f"Two keys of {_container_at(path)} are the same text; rename one.")
        return converted


def _value_at(path: str) -> str:
    return f"The value at result{path}" if path else "The result"


def _key_text(name: str, position: int) -> str:
    return named(name, f"key {position}", shown=f'"{name}"')


def _type_name(type_: type) -> str:
    package = type_.__module__.partition(".")[0]
    name = named_type(type_)
    return name if package == "builtins" or name != type_.__name__ else f"{package}.{name}"


def _container_at(path: str) -> str:
    return f"result{path}" if path else "the result"


def _advice(value: Any) -> str:
    if hasattr(value, "isoformat"):
        return "; convert it to text with isoformat()"
    if isinstance(value, (set, frozenset)):
        return "; make a list of it with sorted()"
    if hasattr(value, "tolist"):
        return "; make a list of it with tolist()"
    return ""
