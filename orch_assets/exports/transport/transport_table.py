"""A table as a transport file has it: its columns with names, labels and formats."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orch_assets.exports.export_notes import NoteKind, Notes
from orch_assets.exports.exported_table import ExportedTable
from orch_assets.exports.transport.sas_cells import SasCells, cut_text
from orch_assets.exports.transport.sas_types import SasType, sas_type
from orch_assets.exports.transport.transport_names import DATA_SET
from orch_assets.exports.transport.transport_version import (
    DATA_SET_LABEL_BYTES,
    TransportVersion,
)

if TYPE_CHECKING:
    import pyarrow as pa

NUMBER_BYTES: Final = 8
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class TransportColumn:
    """A column: its name in the table, and what it is in the file."""

    source: str
    name: str
    label: str
    type: SasType


@dataclass(frozen=True)
class TransportTable:
    """A table, and its data set in a transport file.

    Attributes:
        table: The table.
        version: Version of the file.
        name: Name of the data set.
        label: Label of the data set.
        columns: The columns, in the order of the table.
    """

    table: ExportedTable
    version: TransportVersion
    name: str
    label: str
    columns: tuple[TransportColumn, ...]

    @classmethod
    def of(
        cls, table: ExportedTable, version: TransportVersion, names: Mapping[str, str]
    ) -> "TransportTable":
        """Return the data set of a table, with the names of `transport_names`."""
        columns = [_column(table, field, version, names) for field in table.schema]
        label = _label(table.label, DATA_SET_LABEL_BYTES)
        return cls(table, version, names[DATA_SET], label, tuple(columns))

    def note(self, notes: Notes) -> None:
        """Note what differs about names, labels and types."""
        if self.name != self.table.name:
            notes.add_table(self.table, NoteKind.NAME)
        for kind in _label_notes(self.table.label, self.label):
            notes.add_table(self.table, kind)
        for column in self.columns:
            if column.name != column.source:
                notes.add_column(self.table, column.source, NoteKind.NAME)
            said = self.table.column_label(column.source) + column.type.said
            for kind in _label_notes(said, column.label):
                notes.add_column(self.table, column.source, kind)
            if column.type.is_other:
                notes.add_column(self.table, column.source, NoteKind.TYPE)

    def cells(self, batch: "pa.RecordBatch") -> list[SasCells]:
        """Return a batch's cells as the file has them, by column."""
        return [column.type.convert(batch.column(column.source)) for column in self.columns]


def _column(
    table: ExportedTable, field: "pa.Field", version: TransportVersion, names: Mapping[str, str]
) -> TransportColumn:
    stored = sas_type(field.type, version.text_bytes)
    label = _label(table.column_label(field.name), version.label_bytes, stored.said)
    return TransportColumn(field.name, names[field.name], label, stored)


def _label(text: str, longest: int, said: str = "") -> str:
    plain = _CONTROL.sub(" ", text).rstrip(" ")
    return cut_text(plain, longest - len(said)).rstrip(" ") + said


def _label_notes(text: str, label: str) -> list[NoteKind]:
    notes = [] if text == label else [NoteKind.LABEL]
    return notes if label.isascii() else [*notes, NoteKind.NOT_ASCII]
