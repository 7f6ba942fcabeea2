"""Values as JSON has them: what a result that is no table may be."""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

# A name that a programmer chose, and that a message may show. What has capitals, blanks or other
# characters may be a value of the data, such as a subject's key.
_SHOWN_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
MAX_SHOWN_NAMES: Final = 50

_MISSING_OF_PANDAS: Final = {"NAType", "NaTType"}
_PLAIN_NUMPY: Final = "biufU"  # kinds: truth, whole numbers, floats, text


class NotJsonError(ValueError):
    """A value that JSON has not; the message says where it is and what to do, without data."""


def is_shown_name(name: object) -> bool:
    """Whether a name in a mapping is one that events and errors may show."""
    return isinstance(name, str) and _SHOWN_NAME.fullmatch(name) is not None


def json_value(value: Any) -> Any:
    """Return a value as JSON gives it back: dicts, lists, text, numbers, booleans and None.

    A tuple becomes a list, one of numpy's scalars Python's own, and what is missing (NaN, ``NA``,
    ``NaT``) None.

    Raises:
        NotJsonError: it is, or holds, what JSON has not; a key that isn't text, for one.

    Example:
        >>> json_value({"mean_age": float("nan"), "sites": ("A", "B")})
        {'mean_age': None, 'sites': ['A', 'B']}
    """
    try:
        plain = _plain(value, "")
        to_json(plain)  # numbers of thousands of digits have no text
    except RecursionError:
        raise NotJsonError("It is nested too deeply, or holds itself.") from None
    except ValueError as error:
        if isinstance(error, NotJsonError):
            raise
        raise NotJsonError("It holds a number of too many digits.") from None
    return plain


def to_json(value: Any) -> bytes:
    """Return the JSON of what :func:`json_value` returned; half a character stays an escape."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.encode(errors="backslashreplace")


def exact_json(value: Any) -> bool:
    """Whether JSON gives back a value with each of its types: no tuple, no NaN, no key but text."""
    try:
        return _is_exact(value)
    except RecursionError:
        return False


def _is_exact(value: Any) -> bool:
    if type(value) is dict:
        return all(type(key) is str and _is_exact(each) for key, each in value.items())
    if type(value) is list:
        return all(map(_is_exact, value))
    if type(value) is float:
        return math.isfinite(value)
    if type(value) is int:
        return value.bit_length() < _MAX_BITS
    return value is None or type(value) in {str, bool}


# Python writes no number of more than 4,300 digits.
_MAX_BITS: Final = 14_000


def _plain(value: Any, where: str) -> Any:
    package = type(value).__module__.partition(".")[0]
    if package in {"numpy", "pandas"}:
        value = _python_value(value)
    if value is None or isinstance(value, bool):
        return value
    for kinds, plain in _BY_KIND:
        if isinstance(value, kinds):
            return plain(value, where)
    kind = f"{package}.{type(value).__qualname__}".removeprefix("builtins.")
    raise NotJsonError(f"{_at(where)} is of the type {kind}, which JSON has not; {_advice(value)}.")


def _python_value(value: Any) -> Any:
    """Return Python's own value for one of numpy's scalars, None for a missing one of pandas'."""
    if type(value).__name__ in _MISSING_OF_PANDAS:
        return None
    scalar = getattr(value, "shape", None) == () and value.dtype.kind in _PLAIN_NUMPY
    return value.item() if scalar else value


def _plain_mapping(value: Mapping[Any, Any], where: str) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    shown = len(value) <= MAX_SHOWN_NAMES
    for position, (key, each) in enumerate(value.items(), start=1):
        if not isinstance(key, str):
            raise NotJsonError(
                f"Key {position} of {_of(where)} is of the type {type(key).__name__}, and JSON has "
                "keys of text only; name it by text, for example by str()."
            )
        step = f'["{str.__str__(key)}"]' if shown and is_shown_name(key) else f"[key {position}]"
        plain[str.__str__(key)] = _plain(each, where + step)
    if len(plain) < len(value):
        raise NotJsonError(f"Two keys of {_of(where)} are the same text; rename one.")
    return plain


def _plain_list(value: Iterable[Any], where: str) -> list[Any]:
    return [_plain(each, f"{where}[{position}]") for position, each in enumerate(value)]


def _plain_float(value: float, where: str) -> float | None:
    if math.isinf(value):
        raise NotJsonError(
            f"{_at(where)} is infinite, which JSON has not; return None, or text, instead."
        )
    return None if math.isnan(value) else float(value)


_BY_KIND: "Final[list[tuple[Any, Callable[[Any, str], Any]]]]" = [
    (str, lambda value, _: str.__str__(value)),
    (int, lambda value, _: int(value)),
    (float, _plain_float),
    (Mapping, _plain_mapping),
    ((list, tuple), _plain_list),
]


def _at(where: str) -> str:
    return f"The value at result{where}" if where else "It"


def _of(where: str) -> str:
    return f"result{where}" if where else "the result"


def _advice(value: Any) -> str:
    if hasattr(value, "isoformat"):
        return "write it as text, by isoformat()"
    if isinstance(value, (set, frozenset)):
        return "write it as a list, by sorted()"
    if hasattr(value, "tolist"):
        return "write it as a list, by tolist()"
    return "use text, finite numbers, lists and dicts, or a table (pandas or Arrow)"
