"""Tables for tests of transport files, and what becomes of them."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyreadstat

from orch_assets.exports.export_format import format_named
from orch_assets.exports.export_notes import Notes
from orch_assets.exports.exported_table import ExportedTable

PUBLISHED = "2026-03-09T08:07:06.050403+00:00"


def exported_table(table: pa.Table, name: str = "AE", **facts: str) -> ExportedTable:
    """Return an Arrow table as one to be exported."""
    given = {"study_key": "ONC-301", "uri": "memory:AE", "version": "0" * 64}
    return ExportedTable(
        **{**given, "published_at": PUBLISHED, **facts},
        name=name,
        schema=table.schema,
        num_rows=table.num_rows,
        open_batches=lambda: iter(table.to_batches()),
    )


@dataclass(frozen=True)
class Read:
    """What was written: cells as pyreadstat reads them, its metadata, the bytes, and notes."""

    cells: Mapping[str, Any]
    about: Any
    content: bytes
    notes: list[tuple[str | None, int | None, str]]
    names: Mapping[str, str]


def exported(
    table: pa.Table | ExportedTable,
    format_name: str,
    earlier: Mapping[str, str] | None = None,
    **options: Any,
) -> Read:
    """Write a table, verify the file, and read it with pyreadstat.

    Args:
        table: The table.
        format_name: The format.
        earlier: Names of the previous export.
        **options: For pyreadstat.
    """
    given = exported_table(table) if isinstance(table, pa.Table) else table
    file = format_named(format_name).prepare([given], {given.name: earlier} if earlier else {})
    with tempfile.TemporaryDirectory() as folder, Notes(Path(folder)) as notes:
        path = Path(folder) / "AE.xpt"
        file.write(path, notes)
        file.verify(path)
        cells, about = pyreadstat.read_xport(path, output_format="dict", **options)
        noted = [(row["column"], row["row"], row["kind"]) for row in notes.table().to_pylist()]
        return Read(cells, about, path.read_bytes(), noted, file.names[given.name])


def listed(read: Read, column: str) -> list[Any]:
    """Return a column's cells; a missing value is None."""
    return list(read.cells[column])


def cell_notes(read: Read) -> list[tuple[str | None, int | None, str]]:
    """Return the notes about cells."""
    return [note for note in read.notes if note[1] is not None]
