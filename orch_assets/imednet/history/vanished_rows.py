"""The rows that vanish from the tables of a study, and those that return."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from orch_assets.imednet.blinding.split import ID_COLUMNS
from orch_assets.imednet.history.appended_tables import (
    NOTHING_PUBLISHED,
    NOTHING_TO_COMPARE,
    NewRows,
    appended,
    compared,
    schema_of,
)
from orch_assets.imednet.history.change_columns import TOMBSTONES
from orch_assets.imednet.history.publications import (
    PublishedParts,
    VersionStep,
    position_of,
    steps_of_one_account,
    steps_since,
)
from orch_assets.imednet.streams import BatchStream
from orch_assets.refreshing import (
    APPENDED,
    PartRefresh,
    PreviousResult,
    RowChanges,
    StoredTable,
    TableHistory,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Rows of all other tables are in the open part, whatever is withheld from them.
_WITHHELD_ROWS: Final = frozenset({"codings"})


def tombstone_table(
    tables: Mapping[str, TableHistory], previous: PreviousResult | None = None
) -> BatchStream:
    """Return ``tombstones`` as a stream to be stored. All versions are compared before.

    Tables whose version is the same as at the last time aren't read; of others, only IDs are.

    Args:
        tables: The versions of each table, by the name of its endpoint.
        previous: The result so far; None if there is none, and so nothing to compare with.
    """
    earlier = previous.table if previous else None
    positions: dict[str, Any] = dict(earlier.state.get("tables", {})) if earlier else {}
    rows = _NewTombstones(earlier)
    for endpoint, history in tables.items():
        ids = history if endpoint in _WITHHELD_ROWS else replace(history, withheld=None)
        if not _is_at(ids, positions.get(endpoint)):
            rows.add_since(endpoint, ids, positions.get(endpoint))
            positions[endpoint] = position_of(ids)
    unchanged = earlier is not None and positions == earlier.state.get("tables")
    kept = None if rows.is_of_another_account else earlier
    reason = NOTHING_PUBLISHED if unchanged else compared(rows.comparisons)
    changes = RowChanges(
        APPENDED,
        reason if earlier else NOTHING_TO_COMPARE,
        new=rows.new.count,
        unchanged=kept.num_rows if kept else 0,
    )
    refresh = PartRefresh(earlier, unchanged, lambda: {"tables": positions}, changes)
    parts = [] if unchanged else [kept.batches() if kept else (), rows.new.batches()]
    return appended(schema_of(TOMBSTONES), parts, refresh)


def _is_at(history: TableHistory, position: Mapping[str, Any] | None) -> bool:
    """Whether the versions of a position are still current; they are not looked up if known."""
    if history.table is None:
        return True
    if position is None:
        return False
    versions = {
        "table": history.table.version,
        "withheld": history.withheld.version if history.withheld else None,
    }
    return versions == {
        part: place["version"] if place else None for part, place in position.items()
    }


class _NewTombstones:
    """The rows that a result gets.

    Attributes:
        new: The rows.
        comparisons: How many versions were compared.
        is_of_another_account: Whether a table was replaced by that of another account, so that
            earlier rows say nothing of what is stored now.
    """

    def __init__(self, earlier: StoredTable | None) -> None:
        self.new = NewRows(schema_of(TOMBSTONES))
        self.comparisons = 0
        self.is_of_another_account = False
        self._earlier = earlier
        self._gone: defaultdict[str, set[int]] | None = None

    def add_since(
        self, endpoint: str, history: TableHistory, position: Mapping[str, Any] | None
    ) -> None:
        """Add the rows of one table; none if there is nothing to compare with."""
        if position is None:
            return
        steps = steps_since(history, position)
        if steps is None:
            current = history.table.current if history.table else None
            if current is not None:
                self._add(endpoint, None, "unknown", None, current.version, current.published_at)
            return
        comparable = steps_of_one_account(steps)
        self.is_of_another_account |= len(comparable) < len(steps)
        self.comparisons += len(comparable)
        for step in comparable:
            self._compare(endpoint, step)

    def _compare(self, endpoint: str, step: VersionStep) -> None:
        import numpy as np

        before, after = (_ids(each, ID_COLUMNS[endpoint]) for each in (step.before, step.after))
        vanished = np.setdiff1d(before, after, assume_unique=True).tolist()
        appeared = np.setdiff1d(after, before, assume_unique=True).tolist()
        gone = self._gone_rows[endpoint]
        returned = sorted(gone.intersection(appeared))
        for event, ids in (("vanished", vanished), ("returned", returned)):
            for row_id in ids:
                versions = step.before.table.version, step.after.table.version
                self._add(endpoint, row_id, event, *versions, step.after.published_at)
        gone.difference_update(returned)
        gone.update(vanished)

    @property
    def _gone_rows(self) -> "defaultdict[str, set[int]]":
        """IDs of the rows that have vanished so far and not returned, by endpoint."""
        if self._gone is None:
            self._gone = defaultdict(set)
            for endpoint, row_id, event in _events(self._earlier):
                change = self._gone[endpoint]
                (change.discard if event == "returned" else change.add)(row_id)
        return self._gone

    def _add(self, *values: Any) -> None:
        names = [column.name for column in TOMBSTONES]
        self.new.add(dict(zip(names, values, strict=True)))


def _events(earlier: StoredTable | None) -> "list[tuple[Any, ...]]":
    if earlier is None:
        return []
    names = ["endpoint", "row_id", "event"]
    table = earlier.columns(names)
    return [*zip(*(table[name].to_pylist() for name in names), strict=True)]


def _ids(publication: PublishedParts, column: str) -> "NDArray[np.int64]":
    """Return the IDs of all rows, open and withheld, sorted."""
    import numpy as np

    parts = [each for each in (publication.table, publication.withheld) if each]
    return np.unique(np.concatenate([each.columns([column])[column].to_numpy() for each in parts]))
