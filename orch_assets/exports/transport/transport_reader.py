"""Reads a transport file back with pyreadstat and compares it with its table."""

import contextlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from orch_assets.errors import ExportMismatchError
from orch_assets.exports.comparing import require_equal
from orch_assets.exports.transport.transport_table import NUMBER_BYTES, TransportTable
from orch_assets.exports.transport.transport_writer import (
    RECORD_BYTES,
    batch_rows,
    header_bytes,
    with_row_count,
)
from orch_assets.extras import needing

if TYPE_CHECKING:
    import pyarrow as pa


def verify_transport(transport: TransportTable, path: Path) -> None:
    """Compare a file with the table that it was written from.

    Raises:
        ExportMismatchError: They differ.
    """
    table = transport.table
    with _mismatch_if_unreadable(transport), path.open("rb") as file:
        rows = _Rows(file, _verified_row_bytes(transport, path), table.num_rows)
        rows_read = 0
        for batch in table.batches(batch_rows(rows.row_bytes)):
            found = rows.read(rows_read, batch.num_rows)
            for column, cells in zip(transport.columns, transport.cells(batch), strict=True):
                values = _as_arrow(found[column.name], cells.values.type)
                require_equal(table, column.source, rows_read + 1, cells.values, values)
            rows_read += batch.num_rows
        if rows_read != table.num_rows or not rows.are_all():
            raise ExportMismatchError(table.study_key, table.name)


class _Rows:
    """The rows of a file, read in parts.

    pyreadstat reads all rows before those that it is asked for. So each part becomes a file of its
    own: the header and the part's bytes.
    """

    def __init__(self, file: IO[bytes], row_bytes: int, num_rows: int) -> None:
        self._file = file
        self._header = header_bytes(file)
        self.row_bytes = row_bytes
        self._num_rows = num_rows

    def read(self, start: int, rows: int) -> Mapping[str, Any]:
        """Return some rows by column."""
        self._file.seek(len(self._header) + start * self.row_bytes)
        if start + rows == self._num_rows:  # with what fills the last record
            return _read(self._header, self._file.read(), rows)
        # Blank rows at the end of a part are no end of the file: one more row follows them.
        part = self._file.read(rows * self.row_bytes) + b"x" * self.row_bytes
        found = _read(self._header, part, rows + 1)
        return {name: cells[:rows] for name, cells in found.items()}

    def are_all(self) -> bool:
        """Return whether the header has their number, and the file ends after them."""
        if self._header != with_row_count(self._header, self._num_rows):
            return False
        size = len(self._header) + self._num_rows * self.row_bytes
        return self._file.seek(0, io.SEEK_END) == size + -size % RECORD_BYTES


def _read(header: bytes, rows: bytes, count: int) -> Mapping[str, Any]:
    import pyreadstat

    found, _ = pyreadstat.read_xport(
        io.BytesIO(with_row_count(header, count) + rows),
        output_format="dict",
        disable_datetime_conversion=True,
    )
    cells: Mapping[str, Any] = found
    return cells


def _verified_row_bytes(transport: TransportTable, path: Path) -> int:
    """Compare names, labels, types and formats, and return the bytes of a row."""
    with needing("exports"):
        import pyreadstat

    table = transport.table
    _, found = pyreadstat.read_xport(path, metadataonly=True)
    data_set = (found.table_name, found.file_label or "", found.column_names)
    columns = [column.name for column in transport.columns]
    if data_set != (transport.name, transport.label, columns):
        raise ExportMismatchError(table.study_key, table.name)
    for column, label in zip(transport.columns, found.column_labels, strict=True):
        number = found.readstat_variable_types[column.name] != "string"
        as_written = (column.label, column.type.format, not column.type.is_text)
        if (label or "", found.original_variable_types[column.name], number) != as_written:
            raise ExportMismatchError(table.study_key, table.name, column.source)
        if number and found.variable_storage_width[column.name] != NUMBER_BYTES:
            raise ExportMismatchError(table.study_key, table.name, column.source)
    return sum(found.variable_storage_width.values())


def _as_arrow(cells: Any, type_: "pa.DataType") -> "pa.Array":
    import pyarrow as pa

    return pa.array(cells, type_, from_pandas=True)


@contextlib.contextmanager
def _mismatch_if_unreadable(transport: TransportTable) -> Iterator[None]:
    with needing("exports"):
        import pyreadstat

    unreadable = (
        pyreadstat.PyreadstatError,
        pyreadstat.ReadstatError,
        UnicodeError,
        EOFError,
        KeyError,
    )
    try:
        yield
    except unreadable:
        raise ExportMismatchError(transport.table.study_key, transport.table.name) from None
