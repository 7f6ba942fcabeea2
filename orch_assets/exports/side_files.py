"""The files beside those of the tables: ``export_notes.csv`` and ``names.csv``."""

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from orch_assets.exports.export_format import ColumnNames
from orch_assets.exports.export_notes import Notes, notes_schema
from orch_assets.exports.exported_table import ExportedTable

NOTES: Final = "export_notes.csv"
NAMES: Final = "names.csv"

_BLOCK: Final = 1 << 20


def write_notes(path: Path, notes: Notes) -> None:
    """Write all notes; without any, the file has a header only."""
    import pyarrow.csv as pc

    with pc.CSVWriter(str(path), notes_schema()) as file:
        for batch in notes.batches():
            file.write_batch(batch)


def write_names(path: Path, tables: Sequence[ExportedTable], names: ColumnNames) -> None:
    """Write which name each column has in the files."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["study_key", "form", "column", "name_in_file", "label"])
        for table in tables:
            for column, name in names.get(table.name, {}).items():
                known = column in table.schema.names
                label = table.column_label(column) if known else ""
                writer.writerow([table.study_key, table.name, column, name, label])


def described(path: Path, tables: Sequence[ExportedTable]) -> dict[str, Any]:
    """Return what ``export.json`` says about a file: its bytes, hash, tables and rows."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    about = {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}
    if not tables:
        return about
    return {
        **about,
        "rows": sum(table.num_rows for table in tables),
        "tables": [table.name for table in tables],
    }
