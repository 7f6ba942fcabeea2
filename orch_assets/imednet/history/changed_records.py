"""The records in which two publications of ``records`` differ."""

import heapq
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from orch_assets.imednet.history.field_changes import RecordVersions, Row
from orch_assets.imednet.history.publications import PublishedParts
from orch_assets.imednet.history.row_differences import row_differences
from orch_assets.refreshing import StoredTable

if TYPE_CHECKING:
    import pyarrow as pa

_KEY = "record_id"
# How many rows are Python objects at once.
_ROWS = 1024

_Pair = tuple[int, bool, Row | None, Row | None]


def changed_records(before: PublishedParts, after: PublishedParts) -> Iterator[RecordVersions]:
    """Yield the records that differ in any part, by ID. Records that are equal cost no object."""
    both = heapq.merge(
        _pairs(before.table, after.table, is_open=True),
        _pairs(before.withheld, after.withheld, is_open=False),
        key=itemgetter(0),
    )
    for _, parts in groupby(both, key=itemgetter(0)):
        rows: dict[str, Row | None] = {}
        for _, is_open, earlier, later in parts:
            prefix = "" if is_open else "withheld_"
            rows |= {f"{prefix}before": earlier, f"{prefix}after": later}
        yield RecordVersions(**rows)


def _pairs(
    before: StoredTable | None, after: StoredTable | None, *, is_open: bool
) -> Iterator[_Pair]:
    """Yield each row that differs: its ID, its part, and how it was and is."""
    import pyarrow as pa

    present = after or before
    if present is None:
        return
    empty = pa.RecordBatchReader.from_batches(present.schema, [])
    for found in row_differences(before or empty, after or empty, _KEY):
        yield from heapq.merge(
            ((row[_KEY], is_open, None, row) for row in _rows(found.added)),
            ((row[_KEY], is_open, row, None) for row in _rows(found.removed)),
            (
                (row[_KEY], is_open, row, later)
                for row, later in zip(_rows(found.before), _rows(found.after), strict=True)
            ),
            key=itemgetter(0),
        )


def _rows(batch: "pa.RecordBatch") -> Iterator[dict[str, Any]]:
    for start in range(0, batch.num_rows, _ROWS):
        yield from batch.slice(start, _ROWS).to_pylist()
