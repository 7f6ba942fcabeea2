"""The upkeep of everything: of both stores, then of Dagster's runs."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import dagster as dg

from orch_assets.defs.upkeep.old_runs import OldRuns, ended_runs, is_any_under_way
from orch_assets.defs.upkeep.run_tables import has_tables
from orch_assets.errors import OrchAssetsError
from orch_assets.lazy import cached_property
from orch_assets.stores import PipelineStore
from orch_assets.stores.maintenance.store_upkeep import StoreUpkeep
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
        by_study: Assets whose partitions are the studies.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        stores: tuple[PipelineStore | None, PipelineStore | None],
        *,
        own_run: str | None = None,
        dry_run: bool = False,
        by_study: Collection[dg.AssetKey] = (),
    ) -> None:
        self._instance = instance
        self._open, self._restricted = stores
        self._own_run = own_run
        self._dry_run = dry_run
        self._by_study = by_study
        self._ended: object = None
        self._runs: OldRuns | None = None
        self.problems: list[str] = []

    def run(self, cutoffs: Cutoffs) -> Iterator[Line]:
        """Yield a line for each kind of thing that was removed."""
        with self._going_on("No run was removed."):
            self._ended = ended_runs(self._instance)
            self._runs = self._old_runs(cutoffs)
        for place, upkeep in self._upkeeps.items():
            with self._going_on(f"{place}:"):
                upkeep.run(self._chosen(place, cutoffs), dry_run=self._dry_run)
            yield from (Line(place, each, self._dry_run) for each in upkeep.freed)
            self.problems += [f"{place}: {problem}" for problem in upkeep.problems]
        if self._runs is not None:
            freed: list[Freed] = []
            with self._going_on(f"{DAGSTER}:"):
                freed = self._runs.remove(dry_run=self._dry_run)
            yield from (Line(DAGSTER, each, self._dry_run) for each in freed)
            self.problems += [f"{DAGSTER}: {problem}" for problem in self._runs.problems]

    def _old_runs(self, cutoffs: Cutoffs) -> OldRuns | None:
        if cutoffs.reports is None:
            return None
        if not has_tables(self._instance):
            self.problems.append("No run was removed: the event log isn't in an SQL database.")
            return None
        return OldRuns(self._instance, cutoffs.reports, self._marked_runs, self._by_study)

    def _marked_runs(self) -> set[str]:
        return {run_id for upkeep in self._upkeeps.values() for run_id in upkeep.marked_runs()}

    @cached_property
    def _upkeeps(self) -> Mapping[str, StoreUpkeep]:
        """One of each store, which is listed and read only once."""
        return {
            place: store.upkeep(
                Neighbour(
                    inside=other.address if other and place == OPEN else None,
                    inputs=partial(self._inputs_in, OPEN if place == RESTRICTED else RESTRICTED),
                    runs=self._kept_runs,
                    is_busy=self._is_busy,
                )
            )
            for place, store, other in (
                (RESTRICTED, self._restricted, self._open),
                (OPEN, self._open, self._restricted),
            )
            if store is not None
        }

    def _inputs_in(self, place: str) -> Iterable[tuple[str, str]]:
        return self._upkeeps[place].inputs() if place in self._upkeeps else ()

    def _kept_runs(self) -> Collection[str]:
        return self._runs.kept if self._runs else ()

    def _is_busy(self) -> bool:
        """Return whether runs are under way, or were since the upkeep began."""
        is_under_way = is_any_under_way(self._instance, self._own_run)
        return is_under_way or ended_runs(self._instance) != self._ended

    def _chosen(self, place: str, cutoffs: Cutoffs) -> Cutoffs:
        # Only there are failure reports; and without the runs, nobody knows which of them stay.
        is_reported = place == RESTRICTED and self._runs is not None
        return replace(cutoffs, reports=cutoffs.reports if is_reported else None)

    @contextmanager
    def _going_on(self, what: str) -> Iterator[None]:
        """Note an error, and go on with the next part."""
        try:
            yield
        except OrchAssetsError as error:
            self.problems.append(f"{what} {error}")
        except Exception as error:  # noqa: BLE001 - its text may have what nobody may see
            self.problems.append(f"{what} It failed with {type(error).__name__}.")


def in_words(size: float) -> str:
    """Return a number of bytes for people, such as ``1.2 MB``."""
    for unit in _UNITS[:-1]:
        if size < _THOUSAND:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _THOUSAND
    return f"{size:.1f} {_UNITS[-1]}"
