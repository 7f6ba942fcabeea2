"""What a format is, and the formats by name."""

import importlib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from orch_assets.errors import ExportError
from orch_assets.exports.export_notes import Notes
from orch_assets.exports.exported_table import ExportedTable

# Names in the file, by table and column.
ColumnNames = Mapping[str, Mapping[str, str]]


class FileHolds(StrEnum):
    """How many tables one file has."""

    TABLE = "table"  # <table>.<extension>
    STUDY = "study"  # all tables of a study: <study>.<extension>
    ACCOUNT = "account"  # all tables of all studies


class ExportFile(Protocol):
    """One file to be written: its tables, and what the format makes of their columns."""

    @property
    def names(self) -> ColumnNames:
        """Names in the file by table and column, where the file's names differ or may change.

        The next export of the table receives them as ``earlier``. Empty if the format holds all
        names.
        """
        ...

    def write(self, path: Path, notes: Notes) -> None:
        """Write the file, and note what it can't hold.

        The same tables give the same bytes.

        Args:
            path: Where; nothing is there yet. If an error is raised, what is there is removed.
            notes: Receives the notes.

        Raises:
            ExportError: The tables can't be written, even with notes. Says why and what to do.
        """
        ...

    def verify(self, path: Path) -> None:
        """Read the file with :attr:`ExportFormat.reader` and compare it with the tables.

        A cell must be as in the table, or as the note says.

        Raises:
            ExportMismatchError: A table, column or cell differs.
        """
        ...


class ExportFormat(Protocol):
    """Writes files of one format and reads them back."""

    @property
    def name(self) -> str:
        """Its name, such as ``xpt``."""
        ...

    @property
    def extension(self) -> str:
        """Extension of its files, without a dot."""
        ...

    @property
    def holds(self) -> FileHolds:
        """How many tables one file has."""
        ...

    @property
    def reader(self) -> str:
        """The library that reads files back, and its release, such as ``pyreadstat 1.3.7``."""
        ...

    def prepare(self, tables: Sequence[ExportedTable], earlier: ColumnNames) -> ExportFile:
        """Return the file for some tables; reads no rows.

        Args:
            tables: One table, or as many as ``holds`` says.
            earlier: The ``names`` of the previous export of these tables; empty if there is none.
                They stay.
        """
        ...


# The modules of the formats, each with a function `export_format(name)`. They are imported when
# the format is used, and their libraries when a file is written.
_MODULES: Final = {
    "xpt": "transport.transport_format",
    "xpt8": "transport.transport_format",
    "dataset-json": "dataset_json.dataset_json_format",
    "dataset-ndjson": "dataset_json.dataset_json_format",
    "xlsx": "workbook.workbook_format",
    "csv": "plain_files.csv_files",
    "parquet": "plain_files.parquet_files",
    "duckdb": "duckdb_file.duckdb_format",
}
FORMATS: Final = tuple(_MODULES)
# What people call them.
TITLES: Final[Mapping[str, str]] = {
    "xpt": "SAS transport, version 5",
    "xpt8": "SAS transport, version 8",
    "dataset-json": "CDISC Dataset-JSON 1.1",
    "dataset-ndjson": "CDISC Dataset-JSON 1.1, as lines",
    "xlsx": "Excel",
    "csv": "CSV",
    "parquet": "Parquet",
    "duckdb": "DuckDB",
}


def format_named(name: str) -> ExportFormat:
    """Return a format by its name.

    Raises:
        ExportError: There is no such format.
        MissingExtraError: The extra ``exports`` isn't installed.
    """
    if name not in _MODULES:
        raise ExportError(f"{name!r} is not a format of exports. Use {', '.join(FORMATS)}.")
    module = importlib.import_module(f"orch_assets.exports.{_MODULES[name]}")
    found: ExportFormat = module.export_format(name)
    return found
