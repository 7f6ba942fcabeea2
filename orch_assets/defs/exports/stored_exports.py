"""Stores exports, with the metadata of their events."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from orch_assets.exports.export_format import TITLES
from orch_assets.exports.export_notes import MEANINGS
from orch_assets.exports.table_export import TableExport
from orch_assets.stores import derived_from, published_by

if TYPE_CHECKING:
    from orch_assets.stores import PipelineStore, Published

_NOTES: Final = dg.TableSchema(
    [
        dg.TableColumn("kind", "string"),
        dg.TableColumn("notes", "int"),
        dg.TableColumn("meaning", "string"),
    ]
)


def publish_export(
    store: "PipelineStore",
    export: TableExport,
    name: str,
    facts: Mapping[str, str] | None = None,
    inputs: Mapping[str, str] | None = None,
) -> "tuple[Published, dict[str, Any]]":
    """Write, verify and publish an export; return what was published, and metadata about it.

    Names that the previous export gave stay.

    Args:
        store: The open or the restricted store.
        export: The export.
        name: Name of the artifact.
        facts: What its manifest says about who publishes it, beside what enclosing blocks say.
        inputs: What it was made from, likewise: versions by artifact URI.

    Raises:
        ExportError: It can't be written, or differs from its tables, or is strict and has notes.
        ArtifactReplacedError: Another run published one meanwhile.
        StoreError: It can't be stored.
    """
    previous = store.previous_files(name)
    earlier = {} if previous is None else previous.state.get("names", {})
    with export.written(earlier) as written, published_by(facts or {}), derived_from(inputs or {}):
        published = store.publish_files(
            written.files,
            name,
            written.format,
            replaces=None if previous is None else previous.version,
            state=written.state,
            rows=written.rows,
        )
    return published, export_metadata(written.state)


def export_metadata(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an event says about an export: metadata by key.

    Args:
        state: What its manifest says; see `WrittenExport.state`.
    """
    notes = state["notes"]
    records = [
        dg.TableRecord({"kind": kind, "notes": notes[kind], "meaning": MEANINGS.get(kind)})
        for kind in sorted(notes, key=lambda kind: (-notes[kind], kind))
    ]
    about: dict[str, Any] = {
        "export_format": f"{TITLES[state['format']]} ({state['format']})",
        "export_files": state["table_files"],
        "verified_by": state["verified_by"],
        "export_notes": sum(notes.values()),
    }
    if records:
        about["export_notes_by_kind"] = dg.MetadataValue.table(records, schema=_NOTES)
    return about
