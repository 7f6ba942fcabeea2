"""Readers of the tests' own, for files that only one library of the test environment reads."""

import re
import struct
import zipfile
from collections.abc import Iterator
from functools import cache
from math import ldexp
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

_RECORD, _NAMESTR = 80, 140
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def transport_columns(path: Path) -> dict[str, list[float | str | None]]:
    """Read SAS transport, version 8: numbers, and text without the blanks at its end.

    By SAS's "Record Layout of a SAS Version 8 or 9 Data Set in SAS Transport Format".
    """
    content = path.read_bytes()
    names = content.index(b"HEADER RECORD*******NAMSTV8")
    rows = content.index(b"HEADER RECORD*******OBSV8")
    columns = []
    for number in range(int(content[names + 48 : names + 58])):
        record = content[names + _RECORD + number * _NAMESTR :][:_NAMESTR]
        kind, _, width = struct.unpack(">hhh", record[:6])
        (position,) = struct.unpack(">l", record[84:88])
        columns.append((record[88:120].decode().rstrip(), kind, position, width))
    length = sum(width for *_, width in columns)
    found: dict[str, list[float | str | None]] = {}
    for name, kind, position, width in columns:
        first = rows + _RECORD + position
        starts = range(first, first + int(content[rows + 48 : rows + 63]) * length, length)
        cells = [content[start : start + width] for start in starts]
        found[name] = [_number(each) if kind == 1 else each.decode().rstrip() for each in cells]
    return found


def _number(cell: bytes) -> float | None:
    """Return an IBM double: a sign, an exponent of 16, and a fraction of 56 bits."""
    if cell[:1] == b"." and not any(cell[1:]):
        return None
    fraction = ldexp(int.from_bytes(cell[1:]), 4 * (cell[0] % 128 - 64) - 56)
    return -fraction if cell[0] > 127 else fraction


def sheet_rows(path: Path, name: str) -> Iterator[list[Any]]:
    """Read a sheet of a workbook as XML: text, numbers and booleans; an empty cell is None."""
    with zipfile.ZipFile(path) as book:
        index = ET.fromstring(book.read("xl/workbook.xml"))
        sheets = [each.get("name") for each in index.iter(f"{_MAIN}sheet")]
        sheet = ET.fromstring(book.read(f"xl/worksheets/sheet{sheets.index(name) + 1}.xml"))
    width = 0
    for number, row in enumerate(sheet.iter(f"{_MAIN}row")):
        cells = {_column(cell.get("r", "").rstrip("0123456789")): _cell(cell) for cell in row}
        width = width if number else max(cells) + 1
        yield [cells.get(position) for position in range(width)]


@cache
def _column(letters: str) -> int:
    """Return the position of a column such as ``AB``, from 0."""
    return sum((ord(each) - 64) * 26**place for place, each in enumerate(reversed(letters))) - 1


def _cell(cell: ET.Element) -> Any:
    text = "".join(cell.itertext())
    if cell.get("t") == "inlineStr":
        return re.sub("_x([0-9A-Fa-f]{4})_", lambda found: chr(int(found[1], 16)), text)
    return bool(int(text)) if cell.get("t") == "b" else float(text)
