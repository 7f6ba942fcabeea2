"""The publications of a table between two moments, each with its open and its withheld part."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import ArtifactCorruptError, ArtifactNotFoundError
from orch_assets.imednet.refresh.table_state import are_of_two_accounts
from orch_assets.refreshing import PartHistory, StoredTable, TableHistory

if TYPE_CHECKING:
    import pyarrow as pa

_UNKNOWN: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class PublishedParts:
    """A publication of a table.

    Attributes:
        table: The table, or its open part.
        withheld: The withheld part that was current then; None if there was none.
        published_at: When the later of the two became current.
    """

    table: StoredTable
    withheld: StoredTable | None
    published_at: datetime

    @property
    def versions(self) -> tuple[str, str | None]:
        """The SHA-256 of both parts."""
        return self.table.version, self.withheld.version if self.withheld else None


@dataclass(frozen=True)
class VersionStep:
    """Two publications of a table, one after the other.

    Attributes:
        before: The earlier one.
        after: The later one.
    """

    before: PublishedParts
    after: PublishedParts


def position_of(history: TableHistory) -> dict[str, Any]:
    """Return what is current, as JSON values; :func:`steps_since` continues from there."""
    return {
        "table": _place(history.table),
        "withheld": _place(history.withheld),
    }


def steps_since(
    history: TableHistory, position: Mapping[str, Any] | None
) -> list[VersionStep] | None:
    """Return the steps from a position to what is current; empty if nothing was published since.

    Publications that were removed, or are damaged, are skipped: the one before and the one after
    are then a step.

    Args:
        history: The stored versions.
        position: An earlier result of :func:`position_of`; None if it is unknown.

    Returns:
        None if a version of the position was removed or is damaged, so that it is unknown what
        changed since.
    """
    if position == position_of(history):
        return []
    start = _at(history, position) if position else None
    end = _current(history)
    if start is None or end is None or position is None:
        return None
    between = _between(history, position["table"]["number"])
    return [
        VersionStep(before, after)
        for before, after in pairwise([start, *between, end])
        if before.versions != after.versions
    ]


def steps_of_one_account(steps: Sequence[VersionStep]) -> Sequence[VersionStep]:
    """Return the steps after the last one in which a table of another account was published."""
    crossing = [
        index
        for index, step in enumerate(steps)
        if are_of_two_accounts(step.before.table.state, step.after.table.state)
    ]
    return steps[crossing[-1] + 1 :] if crossing else steps


def stored_at(history: PartHistory | None, place: Mapping[str, Any] | None) -> StoredTable | None:
    """Return the version at one part's place in a position; None if there is none."""
    return history.table(place["version"]) if history and place else None


def all_rows(stored: StoredTable) -> "pa.Table":
    """Return a stored version as a table in memory."""
    import pyarrow as pa

    return pa.Table.from_batches(stored.batches(), stored.schema)


def readable(stored: StoredTable | None) -> StoredTable | None:
    """Return a version if its bytes are those that were published; else None."""
    try:
        return stored if stored and stored.schema else None
    except (ArtifactCorruptError, ArtifactNotFoundError):
        return None


def _between(history: TableHistory, number: int) -> Iterator[PublishedParts]:
    """Yield what was published after a place, but is not current any more."""
    published = history.table.since(number) if history.table else ()
    for each in published[:-1]:
        withheld = None
        if history.withheld and history.withheld.current:
            withheld = history.withheld.at(each.published_at)
            if withheld is None:
                continue
        position = {
            "table": {"version": each.version},
            "withheld": withheld and {"version": withheld},
        }
        found = _at(history, position, each.published_at)
        if found is not None:
            yield found


def _current(history: TableHistory) -> PublishedParts | None:
    moments = [part.current.published_at for part in _parts(history) if part.current]
    return _at(history, position_of(history), max(moments)) if moments else None


def _at(
    history: TableHistory, position: Mapping[str, Any], published_at: datetime = _UNKNOWN
) -> PublishedParts | None:
    """Return the publication at a position; None if one of its parts was removed or is damaged."""
    table = readable(stored_at(history.table, position["table"]))
    withheld = readable(stored_at(history.withheld, position["withheld"]))
    if table is None or (position["withheld"] and withheld is None):
        return None
    return PublishedParts(table, withheld, published_at)


def _parts(history: TableHistory) -> list[PartHistory]:
    return [part for part in (history.table, history.withheld) if part]


def _place(part: PartHistory | None) -> dict[str, Any] | None:
    current = part.current if part else None
    return {"version": current.version, "number": current.number} if current else None
