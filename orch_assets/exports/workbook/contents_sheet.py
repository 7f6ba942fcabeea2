"""The first sheet of a workbook: which forms and columns it has, and where they come from."""

from collections.abc import Sequence
from typing import Any, Final

from orch_assets.exports.plain_cells import PlainTable
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
    first = tables[0][1].table
    rows: list[tuple[Sequence[str | int], Any]] = [
        ((f"Study {first.study_key}",), bold),
        (
            (f"Written by orch-assets {VERSION}. Empty cells and changes: see export_notes.csv.",),
            None,
        ),
        ((), None),
        (_HEADERS, bold),
    ]
    rows += [
        (
            (
                name,
                plain.table.name,
                plain.table.label,
                plain.table.num_rows,
                len(plain.schema),
                plain.table.version,
                plain.table.published_at,
            ),
            None,
        )
        for name, plain in tables
    ]
    rows += [((), None), (_COLUMN_HEADERS, bold)]
    rows += [
        ((name, field.name, column_label(plain, field.name), str(field.type)), None)
        for name, plain in tables
        for field in plain.table.schema
    ]
    for number, (cells, style) in enumerate(rows):
        for position, cell in enumerate(cells):
            write = sheet.write_number if isinstance(cell, int) else sheet.write_string
            write(number, position, cell, style)


def column_label(plain: PlainTable, column: str) -> str:
    """Return a column's label, which says if the times are in UTC."""
    label = plain.table.column_label(column)
    type_ = plain.schema.field(column).type
    return f"{label} (UTC)" if getattr(type_, "tz", None) else label
