"""Labels as text. Arrow's metadata is UTF-8, but pyarrow takes any bytes."""

from collections.abc import Mapping
from dataclasses import replace

from orch_assets.exports.export_notes import NoteKind, Notes
from orch_assets.exports.exported_table import ExportedTable


def with_readable_labels(table: ExportedTable, notes: Notes) -> ExportedTable:
    """Return a table whose metadata is UTF-8, with U+FFFD for what isn't, and note what changes.

    Labels are metadata. Parquet has all of it, and Polars reads no file in which any isn't UTF-8.
    """
    schema = table.schema
    for position, field in enumerate(schema):
        metadata = _readable(field.metadata)
        if metadata != field.metadata:
            notes.add_column(table, field.name, NoteKind.LABEL)
            schema = schema.set(position, field.with_metadata(metadata))
    metadata = _readable(schema.metadata)
    if metadata != schema.metadata:
        notes.add_table(table, NoteKind.LABEL)
        schema = schema.with_metadata(metadata)
    return replace(table, schema=schema)


def _readable(metadata: Mapping[bytes, bytes] | None) -> dict[bytes, bytes] | None:
    if metadata is None:
        return None
    return {_utf8(key): _utf8(text) for key, text in metadata.items()}


def _utf8(text: bytes) -> bytes:
    return text.decode(errors="replace").encode()
