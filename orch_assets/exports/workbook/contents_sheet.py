"""The first sheet of a workbook: which forms and columns it has, and where they come from."""

from collections.abc import Sequence
from typing import Any, Final

from orch_assets.exports.export_notes import NoteKind, Notes
from orch_assets.exports.plain_cells import PlainTable
from orch_assets.exports.workbook.sheet_cells import sheet_text
from orch_assets.version import VERSION

CONTENTS: Final = "Contents"
_HEADERS: Final = ("Sheet", "Form", "Label", "Rows", "Columns", "Version", "Published")
_COLUMN_HEADERS: Final = ("Sheet", "Column", "Label", "Type")
_WIDTHS: Final = (24, 34, 48, 24, 10, 66, 34)


def write_contents(sheet: Any, bold: Any, tables: Sequence[tuple[str, PlainTable]]) -> None:
    """Write the sheet, row by row.

    Args:
        sheet: The sheet.
        bold: The format of headers.
        tables: The tables, each with the name of its sheet.
    """
    for position, width in enumerate(_WIDTHS):
        sheet.set_column(position, position, width)
    for number, cells in enumerate(_rows(tables)):
        style = bold if number == 0 or cells in {_HEADERS, _COLUMN_HEADERS} else None
        for position, cell in enumerate(cells):
            write = sheet.write_number if isinstance(cell, int) else sheet.write_string
            write(number, position, cell, style)


def are_contents(found: Sequence[Sequence[Any]], tables: Sequence[tuple[str, PlainTable]]) -> bool:
    """Return whether rows that were read are those that the sheet should have.

    Args:
        found: The rows; an empty cell is an empty text.
        tables: The tables, each with the name of its sheet.
    """
    return [_padded(row) for row in found] == [_padded(row) for row in _rows(tables)]


def _padded(row: Sequence[Any]) -> list[Any]:
    return [*row, *("",) * (len(_WIDTHS) - len(row))]


def _rows(tables: Sequence[tuple[str, PlainTable]]) -> list[tuple[str | int, ...]]:
    first = tables[0][1].table
    rows: list[tuple[Any, ...]] = [
        (f"Study {first.study_key}",),
        (f"Written by orch-assets {VERSION}. Empty cells and changes: see export_notes.csv.",),
        (),
        _HEADERS,
    ]
    for name, plain in tables:
        table = plain.table
        size = table.num_rows, len(plain.schema)
        rows.append((name, table.name, table.label, *size, table.version, table.published_at))
    rows += [(), _COLUMN_HEADERS]
    for name, plain in tables:
        for field in plain.table.schema:
            rows.append((name, field.name, column_label(plain, field.name), str(field.type)))
    return [tuple(_held(cell) for cell in row) for row in rows]


def _held(cell: str | int) -> str | int:
    return sheet_text(cell) if isinstance(cell, str) else cell


def note_labels(tables: Sequence[tuple[str, PlainTable]], notes: Notes) -> None:
    """Note what the sheet can't hold as it is: names and labels of forms, and labels of columns."""
    for _, plain in tables:
        names = plain.table.name, plain.table.study_key
        if [*map(sheet_text, names)] != [*names]:
            notes.add_table(plain.table, NoteKind.NAME)
        if sheet_text(plain.table.label) != plain.table.label:
            notes.add_table(plain.table, NoteKind.LABEL)
        for name in plain.schema.names:
            label = column_label(plain, name)
            if sheet_text(label) != label:
                notes.add_column(plain.table, name, NoteKind.LABEL)


def column_label(plain: PlainTable, column: str) -> str:
    """Return a column's label, which says if the times are in UTC."""
    label = plain.table.column_label(column)
    type_ = plain.schema.field(column).type
    return f"{label} (UTC)" if getattr(type_, "tz", None) else label
