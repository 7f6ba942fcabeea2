"""What a pipeline returns, and what of it may be shown."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orch_assets.json_values import MAX_SHOWN_NAMES, is_shown_name

if TYPE_CHECKING:
    import pyarrow as pa

    from orch_assets.registry.streams import BatchStream


@dataclass(frozen=True)
class SplitTable:
    """A table whose withheld part is kept apart, under the same name in the restricted store.

    What a pipeline may return; and what it gets for a parameter that is annotated so: both parts,
    as ``pyarrow.RecordBatchReader``.

    Attributes:
        table: what everybody may read; goes to the pipeline's own store. A table, a stream of
            record batches, or a mapping from names to tables.
        withheld: values of variables that are blinded, or not known to be open; of the same kind.
    """

    table: Any
    withheld: Any


def split_withheld(
    endpoint: str,
    table: "pa.Table | BatchStream",
    variables: "pa.Table",
    intervals: "pa.Table | None" = None,
) -> SplitTable:
    """Split a table of the registry by the study's dictionary; see ``registry.withholding``.

    Args:
        endpoint: ``records``, ``codings``, ``queries``, ``visits`` or ``record_revisions``.
        table: that endpoint's table for a study, or its stream. A stream becomes two, which are
            read at the same time, each on a thread of its own; study graphs do.
        variables: the same study's table ``variables``.
        intervals: the same study's table ``intervals``; wanted for ``visits`` alone.
    """
    from orch_assets.registry.split_streams import SplitStream
    from orch_assets.registry.streams import BatchStream
    from orch_assets.registry.withholding import splitter

    split = splitter(endpoint, variables, intervals)
    if not isinstance(table, BatchStream):
        return SplitTable(*split(table))
    parts = SplitStream(table, split)
    return SplitTable(parts.table, parts.withheld)


def showable(value: Any) -> bool:
    """Whether a result is numbers and booleans only, and so may stand in an event's metadata."""
    if isinstance(value, Mapping):
        return len(value) <= MAX_SHOWN_NAMES and all(
            is_shown_name(name) and _is_number(count) for name, count in value.items()
        )
    return _is_number(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (bool, int))
