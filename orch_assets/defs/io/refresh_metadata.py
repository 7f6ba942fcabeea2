"""What a refresh found, for the event and the log of a study."""

from collections.abc import Mapping
from typing import Any, Final

import dagster as dg

from orch_assets.imednet.streams import BatchStream
from orch_assets.orchestration.returned_values import SplitTable
from orch_assets.refreshing import PartRefresh

REFRESH: Final = "refresh"
REFRESH_REASON: Final = "refresh_reason"
# The reading of a table of which only what changed was read.
COUNTED: Final = "counted"

_COUNTED_ROWS: Final = ("new", "changed", "deleted", "vanished", "unchanged")


def refresh_of(value: Any) -> PartRefresh | None:
    """Return how a pipeline's table, or its open part, was refreshed; None for other results."""
    table = value.table if isinstance(value, SplitTable) else value
    return table.refresh if isinstance(table, BatchStream) else None


def refresh_metadata(refresh: PartRefresh) -> Mapping[str, Any]:
    """Return the metadata of a finished refresh."""
    changes = refresh.changes
    reason = {} if changes.reason is None else {REFRESH_REASON: changes.reason}
    rows = {f"rows_{name}": getattr(changes, name) for name in _COUNTED_ROWS}
    return {
        REFRESH: dg.MetadataValue.text(changes.reading),
        **{name: dg.MetadataValue.text(text) for name, text in reason.items()},
        **{name: dg.MetadataValue.int(count) for name, count in rows.items()},
        "requests": dg.MetadataValue.int(changes.requests),
        "requests_saved": dg.MetadataValue.int(changes.requests_saved),
    }


def refresh_line(pipeline: str, refresh: PartRefresh) -> str:
    """Return a finished refresh as a line for the study's log."""
    changes = refresh.changes
    rows = f"{changes.unchanged:,} unchanged"
    if not refresh.unchanged:
        rows = f"{changes.text}, {rows}"
    how = f"{changes.requests_saved:,} requests saved"
    if changes.reading != COUNTED:
        how = f"{changes.reading}: {changes.reason}"
    return f"{pipeline}: {rows}; {how}"
