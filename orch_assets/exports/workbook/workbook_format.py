"""Excel workbooks, written by XlsxWriter row by row and read back by python-calamine."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import ExportError, ExportMismatchError
from orch_assets.exports.export_format import ColumnNames, FileHolds
from orch_assets.exports.export_notes import NoteKind, Notes
from orch_assets.exports.exported_table import ExportedTable
from orch_assets.exports.plain_cells import PlainTable
from orch_assets.exports.plain_types import HeldByFormat
from orch_assets.exports.workbook.contents_sheet import (
    CONTENTS,
    are_contents,
    column_label,
    note_labels,
    write_contents,
)
from orch_assets.exports.workbook.sheet_cells import (
    SheetColumn,
    number_format,
    sheet_column,
    sheet_text,
)
from orch_assets.extras import needing
from orch_assets.lazy import cached_property
from orch_assets.marked_names import named

if TYPE_CHECKING:
    import pyarrow as pa

# A sheet, by Excel's specification and limits.
MAX_ROWS: Final = 1_048_576 - 1  # without the header
MAX_COLUMNS: Final = 16_384
MAX_SHEET_NAME: Final = 31

_HELD: Final = HeldByFormat(
    not_finite=False, binary=False, nanosecond_times=False, long_decimals=False
)
_BATCH_ROWS: Final = 4_096
_WIDTHS: Final = (9, 40)  # of columns, in characters
# Characters that a sheet's name can't have.
_NOT_IN_NAMES: Final = re.compile(r"[][:*?/\\\x00-\x1f]")
_RESERVED: Final = frozenset({"history", CONTENTS.casefold()})


def export_format(_name: str) -> "WorkbookFormat":
    """Return the format."""
    return WorkbookFormat()


@dataclass(frozen=True)
class WorkbookFormat:
    """Writes a workbook for each study, with a sheet for each table."""

    name: str = "xlsx"
    extension: str = "xlsx"
    holds: FileHolds = FileHolds.STUDY

    @property
    def reader(self) -> str:
        """python-calamine and its release."""
        with needing("exports"):
            import python_calamine  # noqa: F401
        return f"python-calamine {version('python-calamine')}"

    def prepare(self, tables: Sequence[ExportedTable], _earlier: ColumnNames) -> "Workbook":
        """Return the workbook of a study's tables.

        Raises:
            ExportError: A table has more rows or columns than a sheet.
        """
        for table in tables:
            _check_size(table)
        return Workbook([PlainTable(table, _HELD) for table in tables])


def _check_size(table: ExportedTable) -> None:
    for number, limit, what in (
        (table.num_rows, MAX_ROWS, "rows below its header"),
        (len(table.schema), MAX_COLUMNS, "columns"),
    ):
        if number > limit:
            raise ExportError(
                f"{named(table.name)} of study {named(table.study_key, shown=table.study_key)} "
                f"has {number:,} {what.split()[0]}. A sheet of Excel has at most {limit:,} {what}. "
                "Export it as csv or parquet, or choose other forms with --form. Nothing was "
                "written."
            )


@dataclass(frozen=True)
class Workbook:
    """A workbook of some tables of a study."""

    tables: Sequence[PlainTable]

    @property
    def names(self) -> ColumnNames:
        """Nothing: headers hold all names, and the contents sheet says which sheet has what."""
        return {}

    @cached_property
    def _sheets(self) -> Sequence[tuple[str, PlainTable]]:
        """The tables, each with the name of its sheet: unique, even if case is ignored."""
        taken = set(_RESERVED)
        sheets = []
        for plain in self.tables:
            stem, number = _NOT_IN_NAMES.sub("_", plain.table.name).strip("'") or "Sheet", 1
            name = _cut(stem, MAX_SHEET_NAME)
            while name.casefold() in taken:
                number += 1
                ending = f"_{number}"
                name = _cut(stem, MAX_SHEET_NAME - len(ending)) + ending
            taken.add(name.casefold())
            sheets.append((name, plain))
        return sheets

    def write(self, path: Path, notes: Notes) -> None:
        """Write the workbook."""
        with needing("exports"):
            import xlsxwriter
            from xlsxwriter.exceptions import XlsxWriterException
        options = {"constant_memory": True, "tmpdir": str(path.parent)}
        try:
            with xlsxwriter.Workbook(str(path), options) as book:
                book.set_properties({"created": self._published_at()})
                bold = book.add_format({"bold": True})
                write_contents(book.add_worksheet(CONTENTS), bold, self._sheets)
                note_labels(self._sheets, notes)
                for name, plain in self._sheets:
                    if name != plain.table.name:
                        notes.add_table(plain.table, NoteKind.NAME)
                    _Sheet(book, name, plain, bold).write(notes)
        except XlsxWriterException as error:
            raise ExportError(
                f"XlsxWriter can't write the workbook ({type(error).__name__}). Check the disk; if "
                "it has space, choose fewer forms with --form, or another format."
            ) from None

    def verify(self, path: Path) -> None:
        """Read all sheets and compare them with the tables."""
        with needing("exports"):
            from python_calamine import CalamineWorkbook
        with CalamineWorkbook.from_path(path) as book:
            if book.sheet_names != [CONTENTS, *(name for name, _ in self._sheets)]:
                raise ExportMismatchError(self.tables[0].table.study_key, CONTENTS)
            if not are_contents(book.get_sheet_by_name(CONTENTS).to_python(), self._sheets):
                raise ExportMismatchError(self.tables[0].table.study_key, CONTENTS)
            for name, plain in self._sheets:
                _verify_sheet(book.get_sheet_by_name(name), plain)

    def _published_at(self) -> datetime:
        """When the newest of the tables was published, so that the same tables give the same bytes.

        Without its zone, since XlsxWriter takes times as UTC.
        """
        newest = max(plain.table.published_at for plain in self.tables)
        return datetime.fromisoformat(newest).replace(microsecond=0, tzinfo=None)


def _cut(name: str, length: int) -> str:
    """Return the beginning of a name, by UTF-16 units as Excel counts."""
    return name.encode("utf-16-le")[: 2 * length].decode("utf-16-le", errors="ignore").strip("'")


@dataclass(frozen=True)
class _Sheet:
    book: Any
    name: str
    plain: PlainTable
    bold: Any

    def write(self, notes: Notes) -> None:
        sheet, schema = self.book.add_worksheet(self.name), self.plain.schema
        self.plain.note_columns(notes)
        styles = [self._style(field.type) for field in schema]
        for position, field in enumerate(schema):
            sheet.set_column(position, position, _width(self.plain, field))
        sheet.freeze_panes(1, 0)
        if len(schema):
            sheet.autofilter(0, 0, self.plain.table.num_rows, len(schema) - 1)
        for position, column in enumerate(schema.names):
            header = sheet_text(column)
            if header != column:
                notes.add_column(self.plain.table, column, NoteKind.NAME)
            sheet.write_string(0, position, header, self.bold)
        writers = {
            str: sheet.write_string,
            bool: sheet.write_boolean,
            int: sheet.write_number,
            float: sheet.write_number,
        }
        row = 1
        for columns in self._columns(notes):
            for cells in zip(*(column.written for column in columns), strict=True):
                for position, cell in enumerate(cells):
                    if cell is not None and cell != "":
                        writers[type(cell)](row, position, cell, styles[position])
                row += 1

    def _style(self, type_: "pa.DataType") -> Any:
        format_ = number_format(type_)
        return self.book.add_format({"num_format": format_}) if format_ else None

    def _columns(self, notes: Notes) -> Iterator[list[SheetColumn]]:
        """Yield the rows' columns, and note the cells that change."""
        first_row = 1
        for batch in self.plain.batches(_BATCH_ROWS, notes):
            columns = [sheet_column(cells) for cells in batch.columns]
            note = partial(notes.add_cells, self.plain.table, batch, first_row)
            for name, column in zip(batch.schema.names, columns, strict=True):
                for kind, changed in column.changes.items():
                    note(name, kind, changed)
            first_row += batch.num_rows
            yield columns


def _width(plain: PlainTable, field: "pa.Field") -> int:
    least, most = _WIDTHS
    format_ = number_format(field.type) or ""
    wanted = max(len(field.name) + 3, len(format_) + 1, len(column_label(plain, field.name)) // 2)
    return min(max(wanted, least), most)


def _verify_sheet(sheet: Any, plain: PlainTable) -> None:
    table, width = plain.table, len(plain.schema)
    found = _rows(sheet, width)
    if width and list(next(found, ())) != [*map(sheet_text, plain.schema.names)]:
        raise ExportMismatchError(table.study_key, table.name)
    first_row = 1
    for batch in plain.batches(_BATCH_ROWS, None):
        # A sheet ends at its last row with a cell.
        empty = ("",) * width
        rows = [next(found, empty) for _ in range(batch.num_rows)]
        for position, cells in enumerate(zip(*rows, strict=True)):
            expected = sheet_column(batch.column(position)).read
            _require_same(plain, position, first_row, expected, list(cells))
        first_row += batch.num_rows
    if next(found, None) is not None:
        raise ExportMismatchError(table.study_key, table.name)


def _rows(sheet: Any, width: int) -> Iterator[Sequence[Any]]:
    """Yield the rows of a sheet, each as wide as the table."""
    # It begins at its first column with a cell: a column's name may be empty.
    left = ("",) * (sheet.start[1] if sheet.start else 0)
    for row in sheet.iter_rows():
        yield row if len(row) == width else (*left, *row, *("",) * (width - len(left) - len(row)))


def _require_same(
    plain: PlainTable,
    position: int,
    first_row: int,
    expected: Sequence[Any],
    found: Sequence[Any],
) -> None:
    if _are_same(expected, found):
        return
    found = [_moment(cell, expected[row]) for row, cell in enumerate(found)]
    if _are_same(expected, found):
        return
    row = next(
        row
        for row, cell in enumerate(expected)
        if type(cell) is not type(found[row]) or cell != found[row]
    )
    column = plain.schema.field(position).name
    raise ExportMismatchError(plain.table.study_key, plain.table.name, column, first_row + row)


def _are_same(expected: Sequence[Any], found: Sequence[Any]) -> bool:
    """Compare cells, and their types: True equals 1."""
    return list(expected) == found and set(map(type, expected)) == set(map(type, found))


def _moment(found: Any, expected: Any) -> Any:
    """Return a date that was read for midnight as the timestamp, if one is expected."""
    if isinstance(expected, datetime) and not isinstance(found, datetime) and found:
        return datetime.combine(found, datetime.min.time()) if hasattr(found, "year") else found
    return found
