"""Cells of a sheet: what Excel holds of a column, how it is written, and how it is read back.

Excel has text, booleans and numbers; dates and times are numbers with a format. Of a number, Excel
shows 15 digits, and XlsxWriter writes 16. Dates begin on 1 March 1900 here, since Excel's calendar
has a 29 February 1900. A whole number, decimal or date that would not be exact is text in its cell.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, Final

from orch_assets.exports.export_notes import NoteKind
from orch_assets.exports.plain_cells import Changes
from orch_assets.exports.workbook.regular_cells import regular_column

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST_TEXT: Final = 32_767  # in UTF-16, as Excel counts
_EMPTY: Final = ""  # what calamine returns for an empty cell
_DIGITS: Final = 15
_FIRST_DATE: Final = date(1900, 3, 1)
_DAY_ZERO: Final = date(1899, 12, 30)
_DAY_MS: Final = 86_400_000
# XlsxWriter escapes `_x0041_`, but not a second one that shares its `_`, which would be read as a
# letter.
_SHARED: Final = "_x[0-9A-Fa-f]{4}_x[0-9A-Fa-f]{4}_"
_SHARED_LINE: Final = re.compile("(?<=_x[0-9A-Fa-f]{4})_(?=x[0-9A-Fa-f]{4}_)")
# Excel's XML can't hold them, not even escaped.
_NO_CHARACTERS: Final = str.maketrans({"\ufffe": "\ufffd", "\uffff": "\ufffd"})

DATE: Final = "yyyy-mm-dd"
TIME: Final = "hh:mm:ss.000"
TIMESTAMP: Final = "yyyy-mm-dd hh:mm:ss.000"


@dataclass(frozen=True)
class SheetColumn:
    """The cells of a column, for some rows.

    Attributes:
        written: Text, booleans and numbers for the sheet; None or empty text for an empty cell.
        read: The same cells as calamine returns them.
        changes: Masks of the cells that change, by what changes.
    """

    written: Sequence[str | bool | float | None]
    read: Sequence[Any]
    changes: Changes


def number_format(plain: "pa.DataType") -> str | None:
    """Return Excel's format of the numbers of a plain type; None for the general one."""
    import pyarrow.types as t

    if t.is_date(plain):
        return DATE
    if t.is_timestamp(plain):
        return TIMESTAMP
    return TIME if t.is_time(plain) else None


def sheet_column(cells: "pa.Array") -> SheetColumn:
    """Return what a sheet holds of a column in its plain type."""
    import pyarrow.types as t

    type_ = cells.type
    if t.is_string(type_):
        return _texts(cells)
    if t.is_boolean(type_):
        values = cells.to_pylist()
        return SheetColumn(values, _with_empty(values), {})
    if (regular := regular_column(cells)) is not None:
        return SheetColumn(regular[0], _with_empty(regular[1]), {})
    convert = _converter(type_)
    pairs = [(None, _EMPTY, None) if cell is None else convert(cell) for cell in _values(cells)]
    written, read, kinds = zip(*pairs, strict=True) if pairs else ((), (), ())
    return SheetColumn(written, read, _changes(kinds))


# What is written, what is read, and what changes, if anything.
_Cell = tuple[str | bool | float | None, Any, NoteKind | None]


def _converter(type_: "pa.DataType") -> Callable[[Any], _Cell]:
    import pyarrow.types as t

    if t.is_date(type_):
        return _date
    if t.is_timestamp(type_):
        return _timestamp
    if t.is_time(type_):
        return _time
    if t.is_integer(type_):
        return _integer
    return _decimal if t.is_decimal(type_) else _float


def _values(cells: "pa.Array") -> list[Any]:
    """Return the cells as Python objects; timestamps and times as numbers in microseconds.

    Python has no nanoseconds. What is below a microsecond makes its last digit odd, so that it
    still counts as a remainder.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    if not (t.is_timestamp(cells.type) or t.is_time(cells.type)):
        return list(cells.to_pylist())
    unit = cells.type.unit
    counts = cells.view(pa.int32() if t.is_time32(cells.type) else pa.int64()).cast(pa.int64())
    if unit == "ns":
        whole = pc.divide(counts, 1000)
        rest = pc.not_equal(pc.multiply(whole, 1000), counts)
        return list(pc.bit_wise_or(whole, rest.cast(pa.int64())).to_pylist())
    return list(pc.multiply(counts, {"ms": 1000, "us": 1}[unit]).to_pylist())


def _texts(cells: "pa.Array") -> SheetColumn:
    import pyarrow.compute as pc

    changes = {}
    is_empty = pc.equal(cells, "")
    if pc.any(is_empty).as_py():
        changes[NoteKind.EMPTY_TEXT] = is_empty
    texts = pc.fill_null(cells, _EMPTY).to_pylist()
    # A character has at least one byte, and at most one UTF-16 unit a byte.
    if (pc.max(pc.binary_length(cells)).as_py() or 0) > LONGEST_TEXT:
        cut = list(map(_cut, texts))
        changes |= _changes(_where(texts, cut, NoteKind.TOO_LONG))
        texts = cut
    if pc.any(pc.match_substring_regex(cells, f"[\ufffe\uffff]|{_SHARED}")).as_py():
        clean = list(map(_clean, texts))
        changes |= _changes(_where(texts, clean, NoteKind.CONTROL_CHARACTER))
        texts = clean
    return SheetColumn(texts, texts, changes)


def sheet_text(text: str) -> str:
    """Return what a cell holds of a text."""
    return _clean(_cut(text))


def _clean(text: str) -> str:
    return _SHARED_LINE.sub("\ufffd", text.translate(_NO_CHARACTERS))


def _where(before: Sequence[Any], after: Sequence[Any], kind: NoteKind) -> list[NoteKind | None]:
    return [kind if old != new else None for old, new in zip(before, after, strict=True)]


def _cut(text: str) -> str:
    """Return the beginning of a text that has at most as many UTF-16 units as a cell."""
    encoded = text.encode("utf-16-le")
    if len(encoded) <= 2 * LONGEST_TEXT:
        return text
    return encoded[: 2 * LONGEST_TEXT].decode("utf-16-le", errors="ignore")


def _integer(cell: int) -> _Cell:
    if abs(cell) < 10**_DIGITS:
        return cell, float(cell), None
    return str(cell), str(cell), NoteKind.TYPE


def _float(cell: float) -> _Cell:
    if cell == 0:
        is_negative = str(cell).startswith("-")
        return 0, 0.0, NoteKind.NEGATIVE_ZERO if is_negative else None
    number = float(f"{cell:.16G}")  # as XlsxWriter writes it
    if number in {float("inf"), float("-inf")}:
        return None, _EMPTY, NoteKind.OUT_OF_RANGE
    return cell, number, None if number == cell else NoteKind.ROUNDED


def _decimal(cell: Any) -> _Cell:
    number = float(cell)
    digits = len("".join(map(str, cell.as_tuple().digits)).rstrip("0"))
    if digits <= _DIGITS:
        return (number, number, None) if cell else (0, 0.0, None)
    return f"{cell:f}", f"{cell:f}", NoteKind.TYPE


def _date(cell: date) -> _Cell:
    if cell < _FIRST_DATE:
        return cell.isoformat(), cell.isoformat(), NoteKind.TYPE
    return (cell - _DAY_ZERO).days, cell, None


def _timestamp(microseconds: int) -> _Cell:
    days, rest = divmod(microseconds, _DAY_MS * 1000)
    day = date.fromordinal(date(1970, 1, 1).toordinal() + days)
    milliseconds, lost = divmod(rest, 1000)
    moment = datetime.combine(day, _time_of(milliseconds))
    if day < _FIRST_DATE:
        return str(moment), str(moment), NoteKind.ROUNDED if lost else NoteKind.TYPE
    serial = (day - _DAY_ZERO).days + milliseconds / _DAY_MS
    return serial, moment, NoteKind.ROUNDED if lost else None


def _time(microseconds: int) -> _Cell:
    milliseconds, lost = divmod(microseconds, 1000)
    moment = _time_of(milliseconds)
    return milliseconds / _DAY_MS, moment, NoteKind.ROUNDED if lost else None


def _time_of(milliseconds: int) -> time:
    seconds, rest = divmod(milliseconds, 1000)
    return time(seconds // 3600, seconds // 60 % 60, seconds % 60, rest * 1000)


def _with_empty(values: Sequence[Any]) -> list[Any]:
    return [_EMPTY if value is None else value for value in values]


def _changes(kinds: Sequence[NoteKind | None]) -> Mapping[NoteKind, "pa.BooleanArray"]:
    import pyarrow as pa

    found = {kind for kind in kinds if kind is not None}
    return {kind: pa.array([each is kind for each in kinds], pa.bool_()) for kind in sorted(found)}
