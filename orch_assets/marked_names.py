"""Marks names in error messages that may be made of data, so that logs can leave them out.

A table of a set may be named after a subject, and a pivot's column after a value. Code that raises
an error writes such a name as ``named(name)``. ``str(error)`` shows the name in full, for the
caller and for the failure report. ``error.marked`` contains the marks. From it,
:func:`with_known_names` makes the text for a log: it shows the names that are known not to be data,
and replaces all others.

The marks are characters that Unicode reserves for such internal use. No text should contain them.
"""

import functools
import re
import sys
import zoneinfo
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

_BEGIN, _BETWEEN, _END = "\ufdd0", "\ufdd1", "\ufdd2"
_MARKS: Final = re.compile(f"[{_BEGIN}{_BETWEEN}{_END}]")
_NAMED: Final = re.compile(
    f"{_BEGIN}([^{_BETWEEN}]*){_BETWEEN}([^{_BETWEEN}]*){_BETWEEN}([^{_END}]*){_END}"
)

# The source code of these packages fixes the names of their types, so they can't be data.
_LIBRARIES: Final = {"numpy", "pandas", "polars", "pyarrow", "pytz", "dateutil", "orch_assets"}

# The tokens in the text of an Arrow or pandas type.
_TYPE_PARTS: Final = re.compile(
    r"\(\d+(?:, -?\d+)?\)|\[\d+\]|=\d\b|=?[+-]\d\d:\d\d|[^<>\[\](),:=\s]+"
)
# Tokens that are not names of fields or time zones.
_TYPE_WORDS: Final = frozenset(
    [
        "null",
        "bool",
        "boolean",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "halffloat",
        "float",
        "double",
        "float16",
        "float32",
        "float64",
        "float96",
        "float128",
        "complex64",
        "complex128",
        "complex256",
        "Int8",
        "Int16",
        "Int32",
        "Int64",
        "UInt8",
        "UInt16",
        "UInt32",
        "UInt64",
        "Float32",
        "Float64",
        "decimal32",
        "decimal64",
        "decimal128",
        "decimal256",
        "string",
        "large_string",
        "string_view",
        "binary",
        "large_binary",
        "binary_view",
        "fixed_size_binary",
        "date32",
        "date64",
        "day",
        "ms",
        "s",
        "us",
        "ns",
        "time32",
        "time64",
        "timestamp",
        "duration",
        "month_day_nano_interval",
        "list",
        "large_list",
        "list_view",
        "large_list_view",
        "fixed_size_list",
        "struct",
        "map",
        "dictionary",
        "values",
        "indices",
        "ordered",
        "item",
        "element",
        "key",
        "value",
        "keys_sorted",
        "not",
        "run_end_encoded",
        "run_ends",
        "extension",
        "arrow.json",
        "arrow.uuid",
        "arrow.bool8",
        "object",
        "str",
        "category",
        "datetime64",
        "timedelta64",
        "interval",
        "period",
        "left",
        "right",
        "both",
        "neither",
        "tz",
        "pyarrow",
        "python",
        "Sparse",
    ]
)
_NUMPY_CODE: Final = re.compile("[biufcmMOSUV][0-9]{1,3}")

# Parts of a URI in a store that are not parts of a name.
_STORE_PARTS: Final = re.compile(
    r"|\.orch(?:-spool)?|_probe|versions|members|manifests|places|parquet|csv|json|set"
    r"|png|svg|html|pdf|[0-9a-f]{64}"
)
_NAME_ENDING: Final = re.compile(
    r"(?:~~[0-9a-f]+)?(?:\.(?:parquet|csv|json|set|png|svg|html|pdf))?\Z"
)
_HOST: Final = re.compile(r"[a-z0-9]+://[^/]*/")


class MarkedError(Exception):
    """An error whose text may contain marked names.

    Attributes:
        marked: The text with its marks, for :func:`with_known_names` and for an error that quotes
            this one.
    """

    def __init__(self, *args: object) -> None:
        self.marked = args[0] if args and isinstance(args[0], str) else ""
        super().__init__(*(in_full(arg) if isinstance(arg, str) else arg for arg in args))


def named(name: object, instead: str = "…", *, shown: str | None = None) -> str:
    """Return a marked name for the text of an error.

    Args:
        name: The name. A log shows it if it is known.
        instead: What a log shows if the name is not known, such as the position of a column.
        shown: The name as the text shows it; by default in quotes.

    Example:
        >>> text = f"Column {named('AESTDAT', '7')} is no date."
        >>> in_full(text)
        "Column 'AESTDAT' is no date."
        >>> with_known_names(text, {"AETERM"}.__contains__)
        'Column 7 is no date.'
    """
    parts = (str(name), repr(name) if shown is None else shown, instead)
    return _BEGIN + _BETWEEN.join(_MARKS.sub("?", part) for part in parts) + _END


def named_type(type_: type) -> str:
    """Return a type's name for an error's text, marked if a pipeline may have created the type."""
    package = str(type_.__module__).partition(".")[0]
    if package in _LIBRARIES or package in sys.stdlib_module_names:
        module = sys.modules.get(type_.__module__)
        if getattr(module, type_.__name__, None) is type_:
            return str(type_.__name__)
    return named(type_.__name__, shown=type_.__name__)


def named_column_type(column_type: object) -> str:
    """Return the text of an Arrow or pandas type, with its fields and unknown time zones marked."""

    def mark(match: "re.Match[str]") -> str:
        token = match[0]
        is_fixed = token[0] in "([=+-" or token in _TYPE_WORDS or _NUMPY_CODE.fullmatch(token)
        return token if is_fixed or token in _time_zones() else named(token, shown=token)

    return _TYPE_PARTS.sub(mark, _MARKS.sub("?", str(column_type)))


def named_uri(uri: str, key: str | None = None) -> str:
    """Return a URI for an error's text, with the names in its key marked.

    Args:
        uri: URI of an object in a store.
        key: Key of the object, which is the end of the URI; by default all that follows the name of
            a bucket.
    """
    uri = _MARKS.sub("?", uri)
    if key is None:
        host = _HOST.match(uri)
        start = host.end() if host else 0
        root, parts = uri[:start], uri[start:].split("/")
    else:
        pieces = uri.split("/")
        count = len(pieces) - len(key.split("/"))
        root, parts = "/".join([*pieces[:count], ""]), pieces[count:]
    return root + "/".join(map(_marked_part, parts))


def named_path(endpoint: str) -> str:
    """Return an endpoint's path for an error's text, with its study and job marked."""
    parts = endpoint.split("/")
    return "/".join(
        named(unquote(part), shown=part) if position in {2, 4} else part
        for position, part in enumerate(parts)
    )


def in_full(text: str) -> str:
    """Return a text that shows all of its names."""
    return _MARKS.sub("", _NAMED.sub(lambda match: match[2], text))


def with_known_names(text: str, is_known: Callable[[str], bool]) -> str:
    """Return a text that shows its known names, and the substitutes of all others."""
    loggable = _NAMED.sub(lambda match: match[2] if is_known(match[1]) else match[3], text)
    return _MARKS.sub("", loggable)


def _marked_part(part: str) -> str:
    if _STORE_PARTS.fullmatch(part):
        return part
    return named(unquote(_NAME_ENDING.sub("", part)), shown=part)


@functools.cache
def _time_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())
