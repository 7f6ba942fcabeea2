"""The upkeep of everything: of both stores, then of Dagster's runs."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import dagster as dg

from orch_assets.defs.upkeep.old_runs import OldRuns, is_any_under_way
from orch_assets.defs.upkeep.run_tables import has_tables
from orch_assets.errors import OrchAssetsError
from orch_assets.stores import PipelineStore
from orch_assets.stores.maintenance.upkeep_terms import Cutoffs, Freed, Neighbour

RESTRICTED: Final = "restricted store"
OPEN: Final = "open store"
DAGSTER: Final = "Dagster"

_UNITS: Final = ("B", "KB", "MB", "GB", "TB")
_THOUSAND: Final = 1000


@dataclass(frozen=True)
class Line:
    """A line about what was removed.

    Attributes:
        place: Where it was, such as :data:`OPEN`.
        freed: What it was.
        dry_run: Whether it would only be removed.
    """

    place: str
    freed: Freed
    dry_run: bool

    def __str__(self) -> str:
        verb = "would remove" if self.dry_run else "removed"
        value = {verb: self.freed.kind, "from": self.place, "count": self.freed.count}
        return json.dumps({**value, "bytes": self.freed.bytes, "size": in_words(self.freed.bytes)})


class Upkeep:
    """Removes what is old from the stores and from an instance.

    A part that fails doesn't keep the others from being done: ``problems`` then has its error.

    Args:
        instance: The instance.
        stores: The open store and the restricted one; None if an IO manager has none of ours.
        own_run: ID of the run that does it; None if no run does.
        dry_run: Whether to write nothing.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        stores: tuple[PipelineStore | None, PipelineStore | None],
        *,
        own_run: str | None = None,
        dry_run: bool = False,
    ) -> None:
        self._instance = instance
        self._open, self._restricted = stores
        self._own_run = own_run
        self._dry_run = dry_run
        self.problems: list[str] = []

    def run(self, cutoffs: Cutoffs) -> Iterator[Line]:
        """Yield a line for each kind of thing that was removed."""
        runs = self._old_runs(cutoffs)
        for place, store, other in (
            (RESTRICTED, self._restricted, self._open),
            (OPEN, self._open, self._restricted),
        ):
            if store is not None:
                yield from self._of_store(place, store, other, cutoffs, runs)
        if runs is not None:
            yield from self._lines(DAGSTER, lambda: runs.remove(dry_run=self._dry_run))

    def _old_runs(self, cutoffs: Cutoffs) -> OldRuns | None:
        if cutoffs.reports is None:
            return None
        if not has_tables(self._instance):
            self.problems.append("No run was removed: the event log isn't in an SQL database.")
            return None
        try:
            marks = [
                mark for store in (self._open, self._restricted) if store for mark in store.marks()
            ]
        except OrchAssetsError as error:
            self.problems.append(f"No run was removed. {error}")
            return None
        return OldRuns(self._instance, cutoffs.reports, {each.run or "" for each in marks})

    def _of_store(
        self,
        place: str,
        store: PipelineStore,
        other: PipelineStore | None,
        cutoffs: Cutoffs,
        runs: OldRuns | None,
    ) -> Iterator[Line]:
        neighbour = Neighbour(
            inside=other.address if other and place == OPEN else None,
            inputs=other.upkeep().inputs if other else tuple,
            runs=runs.kept if runs else (),
            is_busy=lambda: is_any_under_way(self._instance, self._own_run),
        )
        # Only there are failure reports; and without the runs, nobody knows which of them stay.
        is_reported = place == RESTRICTED and runs is not None
        upkeep = store.upkeep(neighbour)
        chosen = Cutoffs(
            manifests=cutoffs.manifests,
            versions=cutoffs.versions,
            reports=cutoffs.reports if is_reported else None,
            leftovers=cutoffs.leftovers,
        )
        yield from self._lines(place, lambda: upkeep.run(chosen, dry_run=self._dry_run))
        self.problems += [f"{place}: {problem}" for problem in upkeep.problems]

    def _lines(self, place: str, remove: Callable[[], list[Freed]]) -> Iterator[Line]:
        try:
            freed = remove()
        except OrchAssetsError as error:
            self.problems.append(f"{place}: {error}")
            return
        yield from (Line(place, each, self._dry_run) for each in freed)


def in_words(size: float) -> str:
    """Return a number of bytes for people, such as ``1.2 MB``."""
    for unit in _UNITS[:-1]:
        if size < _THOUSAND:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _THOUSAND
    return f"{size:.1f} {_UNITS[-1]}"
