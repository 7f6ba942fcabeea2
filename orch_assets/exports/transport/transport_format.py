"""The formats ``xpt`` and ``xpt8``: SAS transport files of version 5 and version 8."""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orch_assets.exports.export_format import ColumnNames, FileHolds
from orch_assets.exports.export_notes import Notes
from orch_assets.exports.exported_table import ExportedTable
from orch_assets.exports.transport.transport_names import transport_names
from orch_assets.exports.transport.transport_reader import verify_transport
from orch_assets.exports.transport.transport_table import TransportTable
from orch_assets.exports.transport.transport_version import VERSIONS, TransportVersion
from orch_assets.exports.transport.transport_writer import write_transport
from orch_assets.extras import needing


@dataclass(frozen=True)
class TransportFile:
    """A transport file: one table.

    Attributes:
        names: Names in the file by column; `transport_names.DATA_SET` is the data set's own. It
            includes names of former columns, which no other column gets.
    """

    transport: TransportTable
    names: ColumnNames

    def write(self, path: Path, notes: Notes) -> None:
        """Write the file; see `ExportFile`."""
        write_transport(self.transport, path, notes)

    def verify(self, path: Path) -> None:
        """Read the file back with pyreadstat and compare it; see `ExportFile`."""
        verify_transport(self.transport, path)


@dataclass(frozen=True)
class TransportFormat:
    """SAS transport files of a version; see `ExportFormat`."""

    name: str
    version: TransportVersion
    extension: str = "xpt"
    holds: FileHolds = FileHolds.TABLE

    @property
    def reader(self) -> str:
        """The library that reads files back, and its release."""
        with needing("exports"):
            import pyreadstat  # noqa: F401  (an error that says which extra is missing)
        return f"pyreadstat {importlib.metadata.version('pyreadstat')}"

    def prepare(self, tables: Sequence[ExportedTable], earlier: ColumnNames) -> TransportFile:
        """Return the file for a table; reads no rows."""
        (table,) = tables
        names = transport_names(table, self.version, earlier.get(table.name, {}))
        transport = TransportTable.of(table, self.version, names)
        return TransportFile(transport, {table.name: names})


def export_format(name: str) -> TransportFormat:
    """Return ``xpt`` or ``xpt8``."""
    return TransportFormat(name, VERSIONS[name])
