"""What a reading or a refresh found, for the event and the log of a study."""

from collections.abc import Mapping
from typing import Any, Final

import dagster as dg

from orch_assets.defs.io.event_metadata import REFRESH
from orch_assets.imednet.form_tables import FormTables
from orch_assets.imednet.progress import ReadingCounts
from orch_assets.imednet.streams import BatchStream
from orch_assets.orchestration.returned_values import SplitTable
from orch_assets.refreshing import COUNTED, PartRefresh, RowChanges

REFRESH_REASON: Final = "refresh_reason"

_KNOWN_BY_ID: Final = frozenset({"rows_new", "rows_vanished"})
_COUNTED_ROWS: Final = ("new", "changed", "deleted", "vanished", "unchanged")


def reading_counts(counts: ReadingCounts) -> Mapping[str, Any]:
    """Return the counts of a download, for the event; nothing if there was no download."""
    if counts.expected is None:
        return {}
    return {
        "expected": dg.MetadataValue.int(counts.expected),
        "arrived": dg.MetadataValue.int(counts.arrived),
        "pages": dg.MetadataValue.int(counts.pages),
        "retries": dg.MetadataValue.int(counts.retries),
        "replaced_surrogates": dg.MetadataValue.int(counts.replaced_surrogates),
    }


def refresh_of(value: Any) -> PartRefresh | None:
    """Return how a pipeline's table, or its open part, was refreshed; None for other results."""
    table = value.table if isinstance(value, SplitTable) else value
    return table.refresh if isinstance(table, BatchStream) else None


def refresh_metadata(refresh: PartRefresh, version: str | None) -> Mapping[str, Any]:
    """Return the metadata of a finished refresh.

    The numbers of changed and unchanged rows are left out if they are unknown: the table changed,
    but no row's date did, or its rows have none.

    Args:
        refresh: The refresh.
        version: SHA-256 of the table that is current now.
    """
    changes = refresh.changes
    reason = {} if changes.reason is None else {REFRESH_REASON: changes.reason}
    rows = row_metadata(changes)
    if _changed_without_dates(refresh, version):
        rows = {name: rows[name] for name in rows if name in _KNOWN_BY_ID}
    return {
        REFRESH: dg.MetadataValue.text(changes.reading),
        **{name: dg.MetadataValue.text(text) for name, text in reason.items()},
        **rows,
        "requests": dg.MetadataValue.int(changes.requests),
        "requests_saved": dg.MetadataValue.int(changes.requests_saved),
    }


def rebuild_of(value: Any) -> RowChanges | None:
    """Return what changed in the rows from which some of a set's tables were built anew.

    None for other results, and if all of its tables were built.
    """
    tables = value.table if isinstance(value, SplitTable) else value
    return tables.changes if isinstance(tables, FormTables) else None


def row_metadata(changes: RowChanges) -> dict[str, dg.IntMetadataValue]:
    """Return the counts of rows."""
    rows = {f"rows_{name}": getattr(changes, name) for name in _COUNTED_ROWS}
    return {name: dg.MetadataValue.int(count) for name, count in rows.items()}


def refresh_line(pipeline: str, refresh: PartRefresh, version: str | None) -> str:
    """Return a finished refresh as a line for the study's log; see :func:`refresh_metadata`."""
    changes = refresh.changes
    rows = f"{changes.text}, {changes.unchanged:,} unchanged"
    if _changed_without_dates(refresh, version):
        rows = "changed without new dates"
    elif refresh.unchanged:
        rows = f"{changes.unchanged:,} unchanged"
    how = f"{changes.requests_saved:,} requests saved"
    if changes.reading != COUNTED:
        how = f"{changes.reading}: {changes.reason}"
    return f"{pipeline}: {rows}; {how}"


def _changed_without_dates(refresh: PartRefresh, version: str | None) -> bool:
    """Return whether the table changed although all rows of the earlier version seem unchanged."""
    changes, earlier = refresh.changes, refresh.earlier
    if earlier is None or version == earlier.version:
        return False
    return changes.unchanged == earlier.num_rows and not changes.new
