"""Names in the text of an error that may be made of data, marked so that a log can leave them out.

A set's member may be called by a subject's key, a pivot's column by a value. Whoever raises an
error writes such a name as ``named(name)``. ``str(error)`` has it in full, for the caller and for
the failure report; ``error.marked`` has the marks, and :func:`with_known_names` makes of it what
may be logged: a name that is known to be none of the data, else what stands for it.

The marks are characters that Unicode reserves for such use, and that no text should hold.
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

# Types of these are called as their sources have it.
_LIBRARIES: Final = {"numpy", "pandas", "polars", "pyarrow", "pytz", "dateutil", "orch_assets"}

# What the text of an Arrow or pandas type is made of, beside names of fields and zones.
_TYPE_PARTS: Final = re.compile(
    r"\(\d+(?:, -?\d+)?\)|\[\d+\]|=\d\b|=?[+-]\d\d:\d\d|[^<>\[\](),:=\s]+"
)
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

# What a URI of a store has beside the parts of a name.
_STORE_PARTS: Final = re.compile(
    r"|\.orch(?:-spool)?|_probe|versions|members|manifests|parquet|csv|json|set|[0-9a-f]{64}"
)
_NAME_ENDING: Final = re.compile(r"(?:~~[0-9a-f]+)?(?:\.(?:parquet|csv|json|set))?\Z")
_HOST: Final = re.compile(r"[a-z0-9]+://[^/]*/")


class MarkedError(Exception):
    """An error whose text may have marked names.

    Attributes:
        marked: the text with its marks, for :func:`with_known_names` and for an error that quotes
            this one.
    """

    def __init__(self, *args: object) -> None:
        self.marked = args[0] if args and isinstance(args[0], str) else ""
        super().__init__(*(in_full(each) if isinstance(each, str) else each for each in args))


def named(name: object, instead: str = "…", *, shown: str | None = None) -> str:
    """Return a name for an error's text.

    Args:
        name: as it came; a log has it where it is known.
        instead: what a log has else, such as the position of a column.
        shown: how the text has the name; by default in quotes.

    Example:
        >>> text = f"Column {named('AESTDAT', '7')} is no date."
        >>> in_full(text)
        "Column 'AESTDAT' is no date."
        >>> with_known_names(text, {"AETERM"}.__contains__)
        'Column 7 is no date.'
    """
    parts = (str(name), repr(name) if shown is None else shown, instead)
    return _BEGIN + _BETWEEN.join(_MARKS.sub("?", part) for part in parts) + _END


def named_type(kind: type) -> str:
    """Return a type's name for an error's text; one that a pipeline makes may be made of data."""
    package = str(kind.__module__).partition(".")[0]
    if package in _LIBRARIES or package in sys.stdlib_module_names:
        module = sys.modules.get(kind.__module__)
        if getattr(module, kind.__name__, None) is kind:
            return str(kind.__name__)
    return named(kind.__name__, shown=kind.__name__)


def named_column_type(column_type: object) -> str:
    """Return the text of an Arrow or pandas type: names of fields and zones in it are marked."""

    def mark(found: "re.Match[str]") -> str:
        part = found[0]
        plain = part[0] in "([=+-" or part in _TYPE_WORDS or _NUMPY_CODE.fullmatch(part)
        return part if plain or part in _zones() else named(part, shown=part)

    return _TYPE_PARTS.sub(mark, _MARKS.sub("?", str(column_type)))


def named_uri(uri: str, key: str | None = None) -> str:
    """Return a URI for an error's text: each part of its key is a name.

    Args:
        uri: of an object of a store.
        key: the object's, which the URI ends with; by default what follows a bucket's name.
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
    return root + "/".join(map(_part_of_uri, parts))


def named_path(endpoint: str) -> str:
    """Return an endpoint's path for an error's text: studies and jobs in it are names."""
    parts = endpoint.split("/")
    return "/".join(
        named(unquote(part), shown=part) if place in {2, 4} else part
        for place, part in enumerate(parts)
    )


def in_full(text: str) -> str:
    """Return a text with all of its names."""
    return _MARKS.sub("", _NAMED.sub(lambda found: found[2], text))


def with_known_names(text: str, is_known: Callable[[str], bool]) -> str:
    """Return a text with the names that are known, and with what stands for the others."""
    chosen = _NAMED.sub(lambda found: found[2] if is_known(found[1]) else found[3], text)
    return _MARKS.sub("", chosen)


def _part_of_uri(part: str) -> str:
    if _STORE_PARTS.fullmatch(part):
        return part
    return named(unquote(_NAME_ENDING.sub("", part)), shown=part)


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())
