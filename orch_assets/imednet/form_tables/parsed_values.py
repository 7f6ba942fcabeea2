"""What a value of record data is, by the type that the dictionary declares for its variable.

A value comes as JSON has it: ``str`` for text, ``int`` for a whole number, ``bytes`` for the digits
of any other number. Nothing is approximated: a reading stands for the very value that was sent.

- Whole numbers are ``int64``: also sent as text, or as ``5.0``.
- Numbers are ``float64``, as in SAS and R, where the float prints back as the number that was
  sent; up to 15 digits always do. One with more digits than a float holds doesn't fit. Arrow's
  decimals would need one scale for all, which the dictionary doesn't know, and round to it.
- Dates are ``date32``: ``2025-06-05``, also with a time of midnight, and ``05-Jun-2025`` or
  ``05JUN2025``. Parts of a date, and ``06/05/2025``, which may be two days, don't fit.
- Dates with a time are timestamps without a zone: the clock as it was written, which is local time
  unless it says otherwise. Without a time they don't fit.
- All else is text: of what isn't sent as text, the JSON. Checkboxes too, whose answers are lists,
  true and false, or text, from form to form.

Empty and blank text is no answer, but in text.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    import pyarrow as pa

Scalar = str | int | bytes

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"[+-]?[0-9]{1,30}")
_ZONE = r"(?:Z|[+-]\d\d(?::?\d\d)?)?"
_DATE = re.compile(rf"(\d{{4}})-(\d\d)-(\d\d)(?:[T ]00:00(?::00(?:\.0+)?)?{_ZONE})?", re.ASCII)
_NAMED_DATE = re.compile(r"(\d\d?)[- ]?([A-Za-z]{3})[- ]?(\d{4})", re.ASCII)
_MOMENT = re.compile(
    rf"(\d{{4}})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{{1,6}})0*)?)?{_ZONE}", re.ASCII
)
_MONTHS = {name: number for number, name in enumerate(
    ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
)}  # fmt: skip

# Reads the grammar alone: 1e400 is JSON, though no float.
_read_any = msgspec.json.Decoder(msgspec.Raw).decode
_JSON_BEGINS = frozenset('-0123456789tfn[{"')
_ALL_FLOATS_UP_TO = 2**53
_FLOAT_DIGITS = 15
_FIRST_DAY = date(1970, 1, 1).toordinal()
_FIRST_MOMENT = datetime(1970, 1, 1)  # noqa: DTZ001 - a clock's time has no zone


class ParsedValue(NamedTuple):
    """What a value is in its column.

    Attributes:
        value: as Arrow stores it; None is no answer.
        exact: whether the column alone gives back the JSON that was sent.
    """

    value: int | float | None
    exact: bool


NO_ANSWER: Final = ParsedValue(None, exact=False)


def _whole(value: Scalar) -> ParsedValue | None:
    if isinstance(value, int):
        number, exact = value, True
    elif _WHOLE.fullmatch(_text(value)):
        number, exact = int(_text(value)), False
    else:
        reading = _number(value)  # 5.0, or 1E+3
        if reading is None or not float(reading.value or 0).is_integer():
            return None
        number, exact = int(reading.value or 0), False
    return ParsedValue(number, exact) if -(2**63) <= number < 2**63 else None


def _number(value: Scalar) -> ParsedValue | None:
    if isinstance(value, int) and abs(value) <= _ALL_FLOATS_UP_TO:
        return ParsedValue(float(value), exact=True)
    text = _text(value)
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    if not math.isfinite(number) or not _prints_back(number, text):
        return None
    return ParsedValue(number, exact=repr(number).encode() == value and not number.is_integer())


def _prints_back(number: float, text: str) -> bool:
    if len(text) <= _FLOAT_DIGITS and "e" not in text and "E" not in text:
        return True
    try:
        return Decimal(repr(number)) == Decimal(text)
    except InvalidOperation:  # an exponent beyond all bounds
        return False


def _date(value: Scalar) -> ParsedValue | None:
    text = _text(value)
    if found := _DATE.fullmatch(text):
        year, month, day = map(int, found.groups())
    elif found := _NAMED_DATE.fullmatch(text):
        day, month, year = int(found[1]), _MONTHS.get(found[2].lower(), 0), int(found[3])
    else:
        return None
    try:
        read = date(year, month, day)
    except ValueError:
        return None
    return ParsedValue(read.toordinal() - _FIRST_DAY, exact=read.isoformat() == value)


def _moment(value: Scalar) -> ParsedValue | None:
    found = _MOMENT.fullmatch(_text(value))
    if not found:
        return None
    *parts, fraction = found.groups(default="0")
    year, month, day, hour, minute, second = map(int, parts)
    microsecond = int(fraction.ljust(6, "0"))
    try:
        read = datetime(year, month, day, hour, minute, second, microsecond)  # noqa: DTZ001
    except ValueError:
        return None
    microseconds = (read - _FIRST_MOMENT) // timedelta(microseconds=1)
    return ParsedValue(microseconds, exact=read.isoformat(" ") == value)


def _text(value: Scalar) -> str:
    return value.decode() if isinstance(value, bytes) else str(value).strip()


@dataclass(frozen=True)
class ColumnType:
    """What a column holds.

    Attributes:
        name: of the kind.
        parse: returns a value's reading, None where it doesn't fit; None for text, which all fits.
        as_json: of text: whether what reads as JSON was sent as that, and not as text; the other
            way round it is an exception.
    """

    name: str
    parse: Callable[[Scalar], ParsedValue | None] | None = None
    as_json: bool = False

    @property
    def is_text(self) -> bool:
        """Whether it holds text, of whatever was sent."""
        return self.parse is None

    def read(self, value: Scalar) -> ParsedValue | None:
        """Return what a value is; None where it is nothing of this kind."""
        if isinstance(value, str) and not value.strip():
            return NO_ANSWER
        return self.parse(value) if self.parse else None

    @property
    def arrow_type(self) -> "pa.DataType":
        """The column's Arrow type."""
        import pyarrow as pa

        types = {
            WHOLE: pa.int64(),
            NUMBER: pa.float64(),
            DATE: pa.date32(),
            MOMENT: pa.timestamp("us"),
        }
        return types.get(self, pa.string())

    def array(self, values: list[Any]) -> "pa.Array":
        """Return values of readings as a column."""
        import pyarrow as pa

        stored = {DATE: pa.int32(), MOMENT: pa.int64()}.get(self, self.arrow_type)
        return pa.array(values, stored).view(self.arrow_type)


WHOLE: Final = ColumnType("whole number", _whole)
NUMBER: Final = ColumnType("number", _number)
DATE: Final = ColumnType("date", _date)
MOMENT: Final = ColumnType("date and time", _moment)
TEXT: Final = ColumnType("text")
MIXED: Final = ColumnType("text, or any JSON", as_json=True)

# The API's description names RADIO and TEXT "etc."; what isn't here is text.
_KINDS: Mapping[str, ColumnType] = {
    **dict.fromkeys(("INT", "INTEGER"), WHOLE),
    **dict.fromkeys(("NUMBER", "NUMERIC", "DECIMAL", "FLOAT", "DOUBLE"), NUMBER),
    "DATE": DATE,
    **dict.fromkeys(("DATETIME", "TIMESTAMP"), MOMENT),
    **dict.fromkeys(("CHECKBOX", "BOOL", "BOOLEAN", "FILE", "UPLOAD"), MIXED),
}


def reads_as_json(text: str) -> bool:
    """Whether a text could be taken for JSON: a number, true, a list, null."""
    if text.lstrip()[:1] not in _JSON_BEGINS:
        return False
    try:
        _read_any(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def kind_of(variable_type: str | None) -> ColumnType:
    """Return what a variable of a declared type holds."""
    return _KINDS.get(re.sub(r"[\W_]", "", variable_type or "").upper(), TEXT)
