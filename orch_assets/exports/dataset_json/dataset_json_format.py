"""Dataset-JSON files: one document (``dataset-json``), or lines (``dataset-ndjson``)."""

import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import msgspec

from orch_assets.errors import ExportMismatchError
from orch_assets.exports.dataset_json.dataset_metadata import dataset_metadata
from orch_assets.exports.dataset_json.row_lines import (
    decoded_rows,
    encoded_rows,
    has_long_integers,
    read_column,
)
from orch_assets.exports.export_format import ColumnNames, FileHolds
from orch_assets.exports.export_notes import NoteKind, Notes
from orch_assets.exports.exported_table import ExportedTable
from orch_assets.exports.plain_cells import PlainTable
from orch_assets.exports.plain_types import HeldByFormat
from orch_assets.exports.side_by_side import require_same_rows

if TYPE_CHECKING:
    import pyarrow as pa

_HELD: Final = HeldByFormat(
    not_finite=False, binary=False, nanosecond_times=True, long_decimals=True
)
_BATCH_ROWS: Final = 8_192
_ROWS: Final = b',"rows":[\n'
_END: Final = b"]}\n"


def export_format(name: str) -> "DatasetJsonFormat":
    """Return ``dataset-json`` or ``dataset-ndjson``."""
    return DatasetJsonFormat(name)


@dataclass(frozen=True)
class DatasetJsonFormat:
    """Writes Dataset-JSON 1.1 with msgspec, and reads it back with Python's ``json``."""

    name: str
    holds: FileHolds = FileHolds.TABLE

    @property
    def extension(self) -> str:
        """``json`` for a document, ``ndjson`` for lines."""
        return self.name.removeprefix("dataset-")

    @property
    def reader(self) -> str:
        """Python's decoder, and its release."""
        return f"json of Python {platform.python_version()}"

    def prepare(self, tables: Sequence[ExportedTable], _earlier: ColumnNames) -> "DatasetJsonFile":
        """Return the file for a table."""
        (table,) = tables
        return DatasetJsonFile(PlainTable(table, _HELD), lines=self.extension == "ndjson")


@dataclass(frozen=True)
class DatasetJsonFile:
    """A Dataset-JSON file of one table.

    Attributes:
        plain: The table.
        lines: Whether it is NDJSON: the metadata on the first line, then a line a row. Otherwise it
            is one JSON document, which has a line a row, too.
    """

    plain: PlainTable
    lines: bool

    @property
    def names(self) -> ColumnNames:
        """Nothing: JSON holds all names."""
        return {}

    def write(self, path: Path, notes: Notes) -> None:
        """Write the file; once more if there are whole numbers beyond 2^53.

        They are text, as a decimal is. The metadata says so before the first row.
        """
        self.plain.note_columns(notes)
        long_integers = self._write(path, frozenset(), notes)
        if long_integers:
            self._write(path, long_integers, None)
        for column in sorted(long_integers):
            notes.add_column(self.plain.table, column, NoteKind.TYPE)

    def verify(self, path: Path) -> None:
        """Read the file with Python's ``json`` and compare it with the table."""
        table = self.plain.table
        with path.open("rb") as file:
            data_types = self._verified_types(file)
            found = self._found(file, data_types)
            require_same_rows(table, self.plain.batches(_BATCH_ROWS, None), found)

    def _write(
        self, path: Path, long_integers: frozenset[str], notes: Notes | None
    ) -> frozenset[str]:
        """Write the file, and return the columns with whole numbers beyond 2^53."""
        metadata = dataset_metadata(self.plain, long_integers)
        data_types = [column["dataType"] for column in metadata["columns"]]
        found: set[str] = set()
        with path.open("wb") as file:
            head = msgspec.json.encode(metadata)
            file.write(head + b"\n" if self.lines else head.removesuffix(b"}") + _ROWS)
            between = b""
            for batch in self.plain.batches(_BATCH_ROWS, notes):
                wide = filter(lambda field: has_long_integers(batch[field.name]), batch.schema)
                found |= {field.name for field in wide}
                rows = encoded_rows(batch, data_types)
                if not self.lines:
                    # A line feed in a text is escaped, so each one here is the end of a row.
                    rows = between + rows.removesuffix(b"\n").replace(b"\n", b",\n")
                    between = b",\n"
                file.write(rows)
            if not self.lines:
                file.write((b"\n" if between else b"") + _END)
        return frozenset(found)

    def _verified_types(self, file: IO[bytes]) -> list[str]:
        """Read the metadata, and return the data types of the columns.

        Raises:
            ExportMismatchError: The metadata differs.
        """
        import pyarrow as pa

        line = file.readline()
        whole = line if self.lines else line.removesuffix(_ROWS) + b"}"
        try:
            metadata = json.loads(whole)
        except ValueError:  # its text may hold a value
            metadata = {}
        columns = metadata.get("columns", [])
        long_integers = {
            column["name"]
            for column, field in zip(columns, self.plain.schema, strict=False)
            if column.get("dataType") == "decimal" and pa.types.is_integer(field.type)
        }
        if metadata != dataset_metadata(self.plain, long_integers):
            raise self._mismatch()
        return [column["dataType"] for column in columns]

    def _found(self, file: IO[bytes], data_types: list[str]) -> "Iterator[pa.RecordBatch]":
        """Yield the rows that the file has."""
        import pyarrow as pa

        schema, failed = self.plain.schema, False
        try:
            for rows in decoded_rows(file, commas=not self.lines):
                if not rows:  # the end of a document without rows
                    continue
                columns = [
                    read_column(*column)
                    for column in zip(
                        zip(*rows, strict=True), schema.types, data_types, strict=True
                    )
                ]
                yield pa.record_batch(columns, schema=schema)
        except (ValueError, TypeError, OverflowError):  # its text may hold a value
            failed = True
        if failed:
            raise self._mismatch()

    def _mismatch(self) -> ExportMismatchError:
        return ExportMismatchError(self.plain.table.study_key, self.plain.table.name)
