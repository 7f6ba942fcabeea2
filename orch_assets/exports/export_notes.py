"""Notes: what a format can't hold, by study, form, record and column; never the value.

Notes go to a file as they are made, since there may be one for each cell of a table.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from orch_assets.exports.exported_table import RECORD_ID, ExportedTable

if TYPE_CHECKING:
    import pyarrow as pa


class NoteKind(StrEnum):
    """What changes, of a cell, a column or a table; see :data:`MEANINGS`."""

    OUT_OF_RANGE = "out_of_range"
    ROUNDED = "rounded"
    NEGATIVE_ZERO = "negative_zero"
    NOT_FINITE = "not_finite"
    EARLY_DATE = "date_before_1582"
    EMPTY_TEXT = "empty_text"
    TRAILING_BLANKS = "trailing_blanks"
    NOT_ASCII = "not_ascii"
    TOO_LONG = "too_long"
    CONTROL_CHARACTER = "control_character"
    NAME = "name"
    LABEL = "label"
    TYPE = "type"


MEANINGS: Final[Mapping[str, str]] = {
    NoteKind.OUT_OF_RANGE: "the format has no such number, date or time: the cell is empty",
    NoteKind.ROUNDED: "a number or time with more digits than the format holds",
    NoteKind.NEGATIVE_ZERO: "-0 became 0",
    NoteKind.NOT_FINITE: "NaN or an infinity: the cell is empty",
    NoteKind.EARLY_DATE: "a date before the format's calendar begins: the cell is empty",
    NoteKind.EMPTY_TEXT: "can't be told from no text",
    NoteKind.TRAILING_BLANKS: "blanks at the end of a text are lost",
    NoteKind.NOT_ASCII: "a text stored as UTF-8, in a format that declares no encoding",
    NoteKind.TOO_LONG: "a text was cut",
    NoteKind.CONTROL_CHARACTER: "a control character was replaced, or reads back as something else",
    NoteKind.NAME: "a column or table has another name in the file",
    NoteKind.LABEL: "a label was cut, or its characters were replaced",
    NoteKind.TYPE: "a column or cell is stored as another type, such as text",
}


class Notes:
    """Collects notes in a file.

    Args:
        folder: Folder for the file; must exist. The file is removed with the folder.

    Attributes:
        counts: Number of notes by kind.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "notes.arrow"
        self._writer: Any = None
        self.counts: Counter[NoteKind] = Counter()

    def __enter__(self) -> Self:
        """Return these notes."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def add_cells(
        self,
        table: ExportedTable,
        batch: "pa.RecordBatch",
        first_row: int,
        column: str,
        kind: NoteKind,
        cells: "pa.BooleanArray",
    ) -> None:
        """Note some cells of a column.

        Args:
            table: The table.
            batch: Rows of the table, with its column ``record_id`` if it has one.
            first_row: Number of the batch's first row in the table; the first one is 1.
            column: Name of the column in the table.
            kind: What changes.
            cells: Which cells to note; null means no.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = pc.indices_nonzero(pc.fill_null(cells, False)).cast(pa.int64())
        if not len(rows):
            return
        records = pa.nulls(len(rows), pa.int64())
        # No identifier of iMednet is above the signed numbers.
        if RECORD_ID in batch.schema.names and pa.types.is_signed_integer(
            batch.schema.field(RECORD_ID).type
        ):
            records = batch.column(RECORD_ID).take(rows).cast(pa.int64())
        self._write(table, column, kind, records, pc.add(rows, first_row))

    def add_column(self, table: ExportedTable, column: str, kind: NoteKind) -> None:
        """Note a column as a whole: its name, label or type."""
        import pyarrow as pa

        nothing = pa.nulls(1, pa.int64())
        self._write(table, column, kind, nothing, nothing)

    def add_table(self, table: ExportedTable, kind: NoteKind) -> None:
        """Note the table as a whole: its name or label."""
        import pyarrow as pa

        nothing = pa.nulls(1, pa.int64())
        self._write(table, None, kind, nothing, nothing)

    @property
    def total(self) -> int:
        """Number of all notes."""
        return sum(self.counts.values())

    def close(self) -> None:
        """Close the file; no note can be added afterwards."""
        if self._writer is not None:
            self._writer.close()

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """Close the file and yield its notes, in the order in which they were made."""
        import pyarrow as pa

        self.close()
        if self._writer is None:
            return
        with pa.OSFile(str(self._path)) as file, pa.ipc.open_stream(file) as reader:
            yield from reader

    def table(self) -> "pa.Table":
        """Return all notes in memory."""
        import pyarrow as pa

        return pa.Table.from_batches(self.batches(), notes_schema())

    def _write(
        self,
        table: ExportedTable,
        column: str | None,
        kind: NoteKind,
        records: "pa.Array",
        rows: "pa.Array",
    ) -> None:
        import pyarrow as pa

        schema = notes_schema()
        if self._writer is None:
            self._writer = pa.ipc.new_stream(str(self._path), schema)
        texts = (table.study_key, table.name, column, kind.value)
        study_key, form, name, what = (
            pa.repeat(pa.scalar(text, pa.string()), len(rows)) for text in texts
        )
        arrays = [study_key, form, records, rows, name, what]
        self._writer.write_batch(pa.record_batch(arrays, schema=schema))
        self.counts[kind] += len(rows)


def notes_schema() -> "pa.Schema":
    """Return the columns of ``export_notes``.

    ``record_id`` is null where the table has none, and ``row`` counts from 1. Both are null in a
    note about a column or a table; ``column`` is null in a note about a table.
    """
    import pyarrow as pa

    return pa.schema(
        [
            ("study_key", pa.string()),
            ("form", pa.string()),
            ("record_id", pa.int64()),
            ("row", pa.int64()),
            ("column", pa.string()),
            ("kind", pa.string()),
        ]
    )
