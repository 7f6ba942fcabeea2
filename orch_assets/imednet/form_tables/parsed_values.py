"""How the text of an answer is read, by the type that the dictionary declares for its variable.

Nothing is approximated: a value that is read equals the text that was entered.

- Whole numbers are ``int64``, also when written as ``5.0`` or ``1E+3``.
- Numbers are ``float64``, as in SAS and R, if the float prints as the number that was entered;
  numbers of up to 15 digits always do. A number with more digits than a float holds cannot be
  read. Arrow's decimals would need one scale for the whole column, which the dictionary does not
  declare, and would round to it.
- Dates are ``date32``: ``2025-06-05``, also with a time of midnight, and ``05-Jun-2025`` or
  ``05JUN2025``. Partial dates cannot be read, nor can ``06/05/2025``, which may be two days.
- Dates with a time are timestamps without a zone: the clock as written, which is local time unless
  the text has a zone. A date without a time cannot be read.
- Everything else is text. That includes checkboxes, whose answers are lists, booleans or text,
  depending on the form.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pyarrow as pa

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_ZONE = r"(?:Z|[+-]\d\d(?::?\d\d)?)?"
_DATE = re.compile(rf"(\d{{4}})-(\d\d)-(\d\d)(?:[T ]00:00(?::00(?:\.0+)?)?{_ZONE})?", re.ASCII)
_NAMED_DATE = re.compile(r"(\d\d?)[- ]?([A-Za-z]{3})[- ]?(\d{4})", re.ASCII)
_DATETIME = re.compile(
    rf"(\d{{4}})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{{1,6}})0*)?)?{_ZONE}", re.ASCII
)
_MONTHS = {name: number for number, name in enumerate(
    ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
)}  # fmt: skip

_INT64 = range(-(2**63), 2**63)
_FLOAT_DIGITS = 15
_FIRST_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a clock's time has no zone


def _parse_integer(text: str) -> int | None:
    if _INTEGER.fullmatch(text):
        number = int(text)
        return number if number in _INT64 else None
    try:  # perhaps 5.0, or 1E+3
        exact = Decimal(text) if _NUMBER.fullmatch(text) else None
    except InvalidOperation:  # the exponent exceeds what Decimal allows
        return None
    # The bounds first: an exponent may stand for a million digits.
    if exact is None or not _INT64[0] <= exact <= _INT64[-1]:
        return None
    return int(exact) if exact == exact.to_integral_value() else None


def _parse_number(text: str) -> float | None:
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) and _is_exact(number, text) else None


def _is_exact(number: float, text: str) -> bool:
    if len(text) <= _FLOAT_DIGITS and "e" not in text and "E" not in text:
        return True
    try:
        return Decimal(repr(number)) == Decimal(text)
    except InvalidOperation:  # the exponent exceeds what Decimal allows
        return False


def _parse_date(text: str) -> int | None:
    """Return the days since 1970, as ``date32`` stores them."""
    if match := _DATE.fullmatch(text):
        year, month, day = map(int, match.groups())
    elif match := _NAMED_DATE.fullmatch(text):
        day, month, year = int(match[1]), _MONTHS.get(match[2].lower(), 0), int(match[3])
    else:
        return None
    try:
        return date(year, month, day).toordinal() - _FIRST_DAY
    except ValueError:
        return None


def _parse_datetime(text: str) -> int | None:
    """Return the microseconds since 1970, as a timestamp stores them."""
    match = _DATETIME.fullmatch(text)
    if not match:
        return None
    *parts, fraction = match.groups(default="0")
    year, month, day, hour, minute, second = map(int, parts)
    microsecond = int(fraction.ljust(6, "0"))
    try:
        clock = datetime(year, month, day, hour, minute, second, microsecond)  # noqa: DTZ001
    except ValueError:
        return None
    return (clock - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True)
class ColumnType:
    """The type of a variable's column.

    Attributes:
        arrow_name: Arrow's name for the type.
        stored_as: Arrow's name for what ``parse`` returns.
        parse: Reads a text without surrounding space; returns None where it is not of this type.
            None for text, which is taken as it is.
    """

    arrow_name: str
    stored_as: str
    parse: Callable[[str], int | float | None] | None = None

    @property
    def is_text(self) -> bool:
        """Whether the column holds the answers as entered."""
        return self.parse is None

    @property
    def arrow_type(self) -> "pa.DataType":
        """The column's Arrow type."""
        import pyarrow as pa

        return pa.type_for_alias(self.arrow_name)

    def read(self, texts: Sequence[str | None]) -> "tuple[pa.Array, int]":
        """Return the answers as a typed column, and how many of them could not be read.

        Blank text is no answer, so it counts as read.
        """
        import pyarrow as pa

        if self.parse is None:
            return pa.array(texts, self.arrow_type), 0
        # Answers repeat: each text is parsed once.
        values = {text: self.parse(text.strip()) for text in {*texts} if text is not None}
        unreadable = {text for text, value in values.items() if value is None and text.strip()}
        misfits = sum(text in unreadable for text in texts) if unreadable else 0
        column = [None if text is None else values[text] for text in texts]
        stored = pa.array(column, pa.type_for_alias(self.stored_as))
        return stored.view(self.arrow_type), misfits


INTEGER: Final = ColumnType("int64", "int64", _parse_integer)
NUMBER: Final = ColumnType("double", "double", _parse_number)
DATE: Final = ColumnType("date32[day]", "int32", _parse_date)
DATETIME: Final = ColumnType("timestamp[us]", "int64", _parse_datetime)
TEXT: Final = ColumnType("string", "string")

# The API's description names RADIO and TEXT "etc."; any type that is not listed here is text.
_TYPES: Final[Mapping[str, ColumnType]] = {
    **dict.fromkeys(("INT", "INTEGER"), INTEGER),
    **dict.fromkeys(("NUMBER", "NUMERIC", "DECIMAL", "FLOAT", "DOUBLE"), NUMBER),
    "DATE": DATE,
    **dict.fromkeys(("DATETIME", "TIMESTAMP"), DATETIME),
}


def column_type(variable_type: str | None) -> ColumnType:
    """Return the column type for a variable's declared type, such as ``Date Time``."""
    return _TYPES.get(re.sub(r"[\W_]", "", variable_type or "").upper(), TEXT)
