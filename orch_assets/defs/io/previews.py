"""Pictures in Dagster's event log, for documents whose author asks for it with ``show=True``."""

import base64
from collections.abc import Mapping
from typing import Any, Final

import dagster as dg

from orch_assets.defs.io.event_metadata import PREVIEW
from orch_assets.orchestration.returned_values import Document
from orch_assets.stores.formats.documents import PNG, SVG

# Of the picture in base64, as the event log holds it.
_MOST_BYTES: Final = 30 << 10


def preview_metadata(value: Any) -> Mapping[str, Any]:
    """Return the picture for the event of a document with ``show=True``; empty for anything else.

    If the document can't be shown, the entry says why.
    """
    if not isinstance(value, Document) or not value.show:
        return {}
    picture, media_type = value.content, (value.media_type or "").partition(";")[0].strip().lower()
    if value.thumbnail is not None:
        picture, media_type = value.thumbnail, PNG
    if media_type not in {PNG, SVG}:
        return _not_shown("Dagster's pages show only PNG and SVG")
    encoded = base64.b64encode(picture).decode()
    if len(encoded) > _MOST_BYTES:
        size = f"{len(encoded) / 1024:,.0f} KB"
        return _not_shown(f"it has {size} in base64, and at most {_MOST_BYTES >> 10} KB are shown")
    return {PREVIEW: dg.MetadataValue.md(f"![preview](data:{media_type};base64,{encoded})")}


def _not_shown(reason: str) -> Mapping[str, Any]:
    text = f"Stored, but not shown here: {reason}."
    return {PREVIEW: dg.MetadataValue.text(text)}
