"""Stores exports, with the metadata of their events."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from orch_assets.exports.table_export import TableExport

if TYPE_CHECKING:
    from orch_assets.stores import PipelineStore, Published


def publish_export(
    store: "PipelineStore", export: TableExport, name: str
) -> "tuple[Published, Mapping[str, Any]]":
    """Write, verify and publish an export; return what was published, and metadata about it.

    Names that the previous export gave stay.

    Raises:
        ExportError: It can't be written, or differs from its tables, or is strict and has notes.
        ArtifactReplacedError: Another run published one meanwhile.
        StoreError: It can't be stored.
    """
    previous = store.previous_files(name)
    earlier = {} if previous is None else previous.state.get("names", {})
    with export.written(earlier) as written:
        published = store.publish_files(
            written.files,
            name,
            written.format,
            replaces=None if previous is None else previous.version,
            state=written.state,
            rows=written.rows,
        )
    return published, {
        "export_files": dg.MetadataValue.int(written.tables),
        "export_notes": dg.MetadataValue.json(dict(written.notes)),
        "verified_by": dg.MetadataValue.text(written.verified_by),
    }
