"""CSV files: UTF-8, a header, text in quotation marks, ISO 8601.

Null is nothing and an empty text is ``""``, which pyarrow, Polars and (when asked) DuckDB tell
apart. pandas, R, SAS and Excel don't, so each empty text is noted.
"""

import contextlib
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orch_assets.errors import ExportMismatchError
from orch_assets.exports.cell_texts import decimal_texts, iso_texts
from orch_assets.exports.export_format import ColumnNames, FileHolds
from orch_assets.exports.export_notes import NoteKind, Notes
from orch_assets.exports.exported_table import ExportedTable
from orch_assets.exports.plain_cells import PlainTable
from orch_assets.exports.plain_files.duckdb_reading import duckdb_batches, duckdb_release
from orch_assets.exports.plain_types import HeldByFormat
from orch_assets.exports.side_by_side import require_same_rows
from orch_assets.exports.two_at_once import one_behind

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

_HELD: Final = HeldByFormat(
    not_finite=False, binary=False, nanosecond_times=True, long_decimals=True
)
_BATCH_ROWS: Final = 32_768
# Bytes of a line.
_USUAL_LINE, _LONGEST_LINE = 2**20, 2**27
# Bytes that DuckDB reads at once, unless a line is longer. Its default is 16 of the longest lines.
_BUFFER: Final = 2**23

# Nothing is guessed. The columns are numbered: DuckDB ignores case in names.
_QUERY: Final = (
    "SELECT * FROM read_csv(?, columns={columns}, header=true, auto_detect=false, delim=',', "
    "quote='\"', escape='\"', max_line_size={longest_line}, buffer_size={buffer}, "
    "allow_quoted_nulls={quoted_nulls})"
)

# Timestamps with nanoseconds are read as text: DuckDB takes the last one for infinity.
_DUCKDB_TYPES: Final = {
    "bool": "BOOLEAN",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "uint8": "UTINYINT",
    "uint16": "USMALLINT",
    "uint32": "UINTEGER",
    "uint64": "UBIGINT",
    "float": "DOUBLE",
    "double": "DOUBLE",
    "date32[day]": "DATE",
    "time32[ms]": "TIME",
    "time64[us]": "TIME",
    "time64[ns]": "TIME_NS",
    "timestamp[ms]": "TIMESTAMP",
    "timestamp[us]": "TIMESTAMP",
    "timestamp[ms, tz=UTC]": "TIMESTAMPTZ",
    "timestamp[us, tz=UTC]": "TIMESTAMPTZ",
}


def export_format(_name: str) -> "PlainCsvFormat":
    """Return the format."""
    return PlainCsvFormat()


@dataclass(frozen=True)
class PlainCsvFormat:
    """Writes CSV with pyarrow, and reads it back with DuckDB."""

    name: str = "csv"
    extension: str = "csv"
    holds: FileHolds = FileHolds.TABLE

    @property
    def reader(self) -> str:
        """DuckDB and its release."""
        return duckdb_release()

    def prepare(self, tables: Sequence[ExportedTable], _earlier: ColumnNames) -> "CsvFile":
        """Return the file for a table."""
        (table,) = tables
        return CsvFile(PlainTable(table, _HELD))


@dataclass(frozen=True)
class CsvFile:
    """A CSV file of one table."""

    plain: PlainTable

    @property
    def names(self) -> ColumnNames:
        """Nothing: CSV holds all names."""
        return {}

    @property
    def one_column(self) -> bool:
        """Whether a null must be written as ``""``: readers skip an empty line."""
        return len(self.plain.schema) == 1

    def write(self, path: Path, notes: Notes) -> None:
        """Write the file."""
        import pyarrow as pa
        from pyarrow.csv import CSVWriter

        self.plain.note_columns(notes)
        fields = [field.with_type(self._written_type(field.type)) for field in self.plain.schema]
        schema, first_row = pa.schema(fields), 1
        with CSVWriter(path, schema) as writer, one_behind(writer.write_batch) as write:
            for batch in self.plain.batches(_BATCH_ROWS, notes):
                self._note_texts(batch, first_row, notes)
                columns = [self._written(cells) for cells in batch.columns]
                write(pa.record_batch(columns, schema=schema))
                first_row += batch.num_rows

    def verify(self, path: Path) -> None:
        """Read the file with DuckDB and compare it with the table."""
        table = self.plain.table
        with path.open(encoding="utf-8", newline="") as file:
            if next(csv.reader(file), None) != self.plain.schema.names:
                raise ExportMismatchError(table.study_key, table.name)
        with contextlib.suppress(ExportMismatchError):
            self._require_same_rows(path, _USUAL_LINE)
            return
        # Perhaps a line is longer than usual; DuckDB takes more memory for them.
        self._require_same_rows(path, _LONGEST_LINE)

    def _require_same_rows(self, path: Path, longest_line: int) -> None:
        columns = {
            f"c{number}": _duckdb_type(field.type) for number, field in enumerate(self.plain.schema)
        }
        query = _QUERY.format(
            columns=columns,
            quoted_nulls=self.one_column,
            longest_line=longest_line,
            buffer=max(_BUFFER, longest_line),
        )
        found = duckdb_batches(self.plain.table, self.plain.schema, query, path)
        require_same_rows(self.plain.table, self._expected(), found)

    def _expected(self) -> "Iterator[pa.RecordBatch]":
        for batch in self.plain.batches(_BATCH_ROWS, None):
            yield _without_empty_texts(batch) if self.one_column else batch

    def _written_type(self, type_: "pa.DataType") -> "pa.DataType":
        import pyarrow as pa
        import pyarrow.types as t

        as_text = t.is_timestamp(type_) or t.is_time(type_) or t.is_decimal(type_)
        if as_text or self.one_column:
            return pa.string()
        # Readers make doubles, for which the digits of a shorter float are too few.
        return pa.float64() if t.is_float32(type_) else type_

    def _written(self, cells: "pa.Array") -> "pa.Array":
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.types as t

        if t.is_timestamp(cells.type) or t.is_time(cells.type):
            cells = iso_texts(cells)
        elif t.is_decimal(cells.type):
            cells = decimal_texts(cells)
        return pc.fill_null(cells.cast(pa.string()), "") if self.one_column else cells

    def _note_texts(self, batch: "pa.RecordBatch", first_row: int, notes: Notes) -> None:
        """Note what usual readers take for something else in a text."""
        import pyarrow as pa
        import pyarrow.compute as pc

        for field, cells in zip(batch.schema, batch.columns, strict=True):
            if not pa.types.is_string(field.type):
                continue
            empty = pc.equal(pc.binary_length(cells), 0)
            if self.one_column:
                empty = pc.fill_null(empty, True)
            changes = {NoteKind.EMPTY_TEXT: empty}
            if _has_zero_characters(cells):
                changes[NoteKind.CONTROL_CHARACTER] = pc.match_substring(cells, "\0")
            for kind, changed in changes.items():
                if pc.any(changed).as_py():
                    notes.add_cells(self.plain.table, batch, first_row, field.name, kind, changed)


def _has_zero_characters(cells: "pa.Array") -> bool:
    """Return whether a text may have a zero character; much faster than looking at each text."""
    characters = cells.buffers()[2]
    return characters is not None and b"\0" in characters.to_pybytes()


def _duckdb_type(type_: "pa.DataType") -> str:
    import pyarrow as pa

    if pa.types.is_decimal(type_):
        return f"DECIMAL({type_.precision}, {type_.scale})"
    return _DUCKDB_TYPES.get(str(type_), "VARCHAR")


def _without_empty_texts(batch: "pa.RecordBatch") -> "pa.RecordBatch":
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = batch.column(0)
    if not pa.types.is_string(cells.type):
        return batch
    texts = pc.if_else(pc.equal(pc.binary_length(cells), 0), pa.scalar(None, pa.string()), cells)
    return pa.record_batch([texts], schema=batch.schema)
