"""Writes a transport file."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from orch_assets.errors import ExportError
from orch_assets.exports.export_notes import Notes
from orch_assets.exports.exported_table import ExportedTable
from orch_assets.exports.transport.sas_numbers import ibm_doubles
from orch_assets.exports.transport.transport_table import NUMBER_BYTES, TransportTable
from orch_assets.extras import needing
from orch_assets.marked_names import named

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

RECORD_BYTES: Final = 80
_BATCH_ROWS: Final = 8192
_BATCH_BYTES: Final = 8 * 2**20
_MONTHS: Final = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"

# Where the header has the times of creation and modification, of the file and of the data set: the
# same places in both versions (SAS, "Record Layout", "first real header" and "member header data").
_TIMES: Final = (144, 160, 464, 480)
# The record before the rows. In version 8 it has their number, in 15 characters.
_ROWS_FOLLOW: Final = re.compile(rb"HEADER RECORD\*{7}OBS(?:V8)? +HEADER RECORD!{7}")


def batch_rows(row_bytes: int) -> int:
    """Return how many rows are handled at once."""
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, row_bytes)))


def write_transport(transport: TransportTable, path: Path, notes: Notes) -> None:
    """Write a file, and note what it can't hold.

    Two steps, since the header has the longest text of each column: the table is read once, and its
    converted cells go to a temporary file beside the export.

    Raises:
        ExportError: The table has no columns, or (version 5) its last rows would be lost.
    """
    table = transport.table
    if not transport.columns:
        raise _unwritable(table, "It has no columns. Export it in another format.")
    transport.note(notes)
    spilled = path.with_name(f"{path.name}.cells")
    try:
        _write(transport, path, spilled, notes)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        spilled.unlink(missing_ok=True)


def _write(transport: TransportTable, path: Path, spilled: Path, notes: Notes) -> None:
    widths = _spill(transport, spilled, notes)
    header = _header(transport, widths, path)
    with path.open("wb") as file:
        file.write(header)
        last_row = _write_rows(file, spilled, widths)
        file.write(b" " * (-file.tell() % RECORD_BYTES))
    if not transport.version.counts_rows and last_row and not last_row.strip(b" "):
        why = (
            "Its last row is blank, and readers of version 5 can't tell a blank row from the end. "
            "Export it as xpt8, or with a column of numbers."
        )
        raise _unwritable(transport.table, why)


def with_row_count(header: bytes, rows: int) -> bytes:
    """Return a header with another number of rows, if its version has one."""
    record = header[-RECORD_BYTES:]
    if b"OBSV8" not in record:
        return header
    return header[:-RECORD_BYTES] + record[:48] + b"%15d" % rows + record[63:]


def header_bytes(file: IO[bytes]) -> bytes:
    """Read a file's header; the rows follow.

    Raises:
        EOFError: The file has none.
    """
    records = []
    while record := file.read(RECORD_BYTES):
        records.append(record)
        if _ROWS_FOLLOW.match(record):
            return b"".join(records)
    raise EOFError


def _unwritable(table: ExportedTable, why: str) -> ExportError:
    study = named(table.study_key, shown=table.study_key)
    return ExportError(f"{named(table.name)} of study {study} can't be a SAS transport file. {why}")


def _spill(transport: TransportTable, path: Path, notes: Notes) -> list[int]:
    """Write converted cells as Arrow, note them, and return the columns' widths in bytes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    types = [pa.large_string() if c.type.is_text else pa.float64() for c in transport.columns]
    schema = pa.schema([(str(number), type_) for number, type_ in enumerate(types)])
    widths = [1 if column.type.is_text else NUMBER_BYTES for column in transport.columns]
    row = 1
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for batch in transport.table.batches(_BATCH_ROWS):
            cells = transport.cells(batch)
            for number, column in enumerate(transport.columns):
                for kind, noted in cells[number].noted.items():
                    notes.add_cells(transport.table, batch, row, column.source, kind, noted)
                if column.type.is_text:
                    longest = pc.max(pc.binary_length(cells[number].values)).as_py() or 1
                    widths[number] = max(widths[number], longest)
            writer.write_batch(pa.record_batch([cell.values for cell in cells], schema=schema))
            row += batch.num_rows
    return widths


def _header(transport: TransportTable, widths: list[int], path: Path) -> bytes:
    """Return what precedes the rows, as pyreadstat writes it for one row of the longest texts."""
    import pandas as pd

    with needing("exports"):
        import pyreadstat

    row = {
        column.name: ["x" * width] if column.type.is_text else [0.0]
        for column, width in zip(transport.columns, widths, strict=True)
    }
    try:
        pyreadstat.write_xport(
            pd.DataFrame(row),
            path,
            file_label=transport.label,
            column_labels=[column.label for column in transport.columns],
            table_name=transport.name,
            file_format_version=transport.version.number,
            variable_format={
                c.name: f"{c.type.format}." for c in transport.columns if c.type.format
            },
        )
    except (pyreadstat.PyreadstatError, pyreadstat.ReadstatError):
        why = "pyreadstat refuses its names or labels. Please report it."
        raise _unwritable(transport.table, why) from None
    with path.open("rb") as file:
        header = header_bytes(file)
    return _with_time(with_row_count(header, transport.table.num_rows), transport.table)


def _with_time(header: bytes, table: ExportedTable) -> bytes:
    """Return a header with the time of the table's publication instead of now."""
    published = datetime.fromisoformat(table.published_at)
    month = _MONTHS[3 * published.month - 3 : 3 * published.month]  # `%b` depends on the locale
    time = published.strftime(f"%d{month}%y:%H:%M:%S").encode()
    for place in _TIMES:
        header = header[:place] + time + header[place + len(time) :]
    return header


def _write_rows(file: IO[bytes], spilled: Path, widths: list[int]) -> bytes:
    """Write the rows and return the last one; empty if there is none."""
    last = b""
    for cells in _spilled_batches(spilled, batch_rows(sum(widths))):
        rows = _rows(cells, widths)
        file.write(rows.data)
        last = rows[-1].tobytes()
    return last


def _spilled_batches(path: Path, rows: int) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
        for batch in reader:
            for start in range(0, batch.num_rows, rows):
                yield batch.slice(start, rows)


def _rows(cells: "pa.RecordBatch", widths: list[int]) -> "np.ndarray[Any, Any]":
    """Return rows as the file has them, one in each row of the array."""
    import numpy as np
    import pyarrow as pa

    rows = np.full((cells.num_rows, sum(widths)), ord(" "), np.uint8)
    start = 0
    for column, width in zip(cells.columns, widths, strict=True):
        place = rows[:, start : start + width]
        if pa.types.is_floating(column.type):
            place[:] = ibm_doubles(column.to_numpy(zero_copy_only=False))
        else:
            _put_texts(column, place)
        start += width
    return rows


def _put_texts(texts: "pa.Array", place: "np.ndarray[Any, Any]") -> None:
    import numpy as np

    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    if data is None or ends[-1] == ends[0]:
        return
    lengths = np.diff(ends)
    place[np.arange(place.shape[1]) < lengths[:, None]] = np.frombuffer(data, np.uint8)[
        ends[0] : ends[-1]
    ]
