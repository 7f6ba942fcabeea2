"""What a pipeline returns, and what of it may be shown."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pyarrow as pa

    from orch_assets.registry.streams import BatchStream

# A name of a count is one that a programmer chose. What has capitals, blanks or other characters
# may be a value of the data, such as a subject's key.
_COUNT_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MAX_COUNTS: Final = 50


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


def as_plain(value: Any) -> Any:
    """Return a value with Python's numbers in place of numpy's, also inside dicts and lists."""
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        return value.item()
    if isinstance(value, dict):
        return {as_plain(key): as_plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_plain(each) for each in value]
    return value


def showable(value: Any) -> bool:
    """Whether a result is numbers and booleans only, and so may stand in an event's metadata."""
    if isinstance(value, Mapping):
        return len(value) <= _MAX_COUNTS and all(
            isinstance(name, str) and _COUNT_NAME.fullmatch(name) and _is_number(count)
            for name, count in value.items()
        )
    return _is_number(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (bool, int))
