"""Dagster's old runs: which of them nothing needs any more, and their removal."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import dagster as dg

from orch_assets.defs.cluster.run_claims import claimed_runs, remove_claim
from orch_assets.defs.dagster_internals import NOT_FINISHED_STATUSES, requested_backfills
from orch_assets.defs.upkeep.run_tables import (
    compute_logs_of,
    delete_compute_logs,
    delete_run,
    runs_of_newest_events,
    size_of_run,
)
from orch_assets.stores.maintenance.upkeep_terms import Freed

_ENDED: Final = (
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
)
_BATCH: Final = 500
# So often in sequence, a removal may fail before the others are left for the next upkeep.
_FAILURES: Final = 5


class OldRuns:
    """The runs that ended before a moment.

    Some of them stay: those that the state of an asset's partition or of a check depends on; marked
    ones; those that an unfinished run re-executes; those of an unfinished backfill.

    Args:
        instance: The instance.
        before: The moment.
        marked: Returns the IDs of the runs that are marked now.
        by_study: Assets whose partitions are the studies. What a retired study needs isn't kept.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        before: datetime,
        marked: Callable[[], Collection[str]] = tuple,
        by_study: Collection[dg.AssetKey] = (),
    ) -> None:
        self._instance = instance
        self._before = before
        self._marked = marked
        self._by_study = by_study
        self._removed = self._unneeded()
        self.kept = {*instance.get_run_ids()}.difference(self._removed)
        self.problems: list[str] = []

    def remove(self, *, dry_run: bool = False) -> list[Freed]:
        """Remove those that nothing needs, oldest first; return what that was, by kind.

        Much may have happened since they were found, so what needs them is asked again.
        ``problems`` then says which kinds of errors kept runs from being removed.
        """
        freed = {kind: Freed(kind) for kind in ("runs", "events", "compute logs", "run claims")}
        unneeded, failures, gone = {*self._unneeded()}, 0, set[str]()
        for run_id in filter(unneeded.__contains__, self._removed):
            failures += 1
            with self._going_on("runs"):
                sizes = self._remove_one(run_id, dry_run=dry_run)
                failures = 0
                if sizes:
                    gone.add(run_id)
                for kind, count, size in sizes:
                    freed[kind].add(count, size)
            if failures == _FAILURES:
                break
        with self._going_on("claims to runs"):
            freed["run claims"].add(self._remove_claims(gone, dry_run=dry_run), 0)
        return [each for each in freed.values() if each.count]

    def _remove_one(self, run_id: str, *, dry_run: bool) -> Sequence[tuple[str, int, int]]:
        """Remove a run; return kinds, numbers and bytes of what that was: none if it stays."""
        if not dry_run and run_id in {*self._marked(), *_unfinished(self._instance)}:
            return []
        logs = compute_logs_of(self._instance, run_id)
        events = size_of_run(self._instance, run_id)
        if not dry_run:
            delete_compute_logs(self._instance, run_id)
            delete_run(self._instance, run_id)
        return [("runs", 1, 0), ("events", *events), ("compute logs", *logs)]

    def _unneeded(self) -> list[str]:
        """Return the old runs that nothing needs, oldest first."""
        needed = {
            *runs_of_newest_events(self._instance, self._by_study),
            *self._marked(),
            *_unfinished(self._instance),
        }
        backfills = {each.backfill_id for each in requested_backfills(self._instance)}
        return [
            run.run_id
            for run in _ended_before(self._instance, self._before)
            if run.run_id not in needed and run.tags.get("dagster/backfill") not in backfills
        ]

    @contextmanager
    def _going_on(self, what: str) -> Iterator[None]:
        """Note the class of an error, and go on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - its text may have what nobody may see
            problem = f"Some {what} stay, because their removal failed with {type(error).__name__}."
            if problem not in self.problems:
                self.problems.append(problem)

    def _remove_claims(self, gone: Collection[str], *, dry_run: bool) -> int:
        """Remove the claims to runs that don't exist any more; return their number."""
        claimed = [*claimed_runs(self._instance)]
        left: set[str] = set()
        for start in range(0, len(claimed), _BATCH):
            batch = dg.RunsFilter(run_ids=claimed[start : start + _BATCH])
            left.update(self._instance.get_run_ids(batch))
        without_run = [each for each in claimed if each in gone or each not in left]
        for run_id in () if dry_run else without_run:
            remove_claim(self._instance, run_id)
        return len(without_run)


def is_any_under_way(instance: dg.DagsterInstance, own: str | None) -> bool:
    """Return whether a run other than this one hasn't ended."""
    records = instance.get_run_records(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES), limit=2)
    return any(each.dagster_run.run_id != own for each in records)


def ended_runs(instance: dg.DagsterInstance) -> object:
    """Return what changes whenever a run ends, whatever the clock of its machine says."""
    ended = dg.RunsFilter(statuses=list(_ENDED))
    newest = instance.get_run_records(ended, limit=1, order_by="update_timestamp")
    return instance.get_runs_count(ended), [each.dagster_run.run_id for each in newest]


def _ended_before(instance: dg.DagsterInstance, before: datetime) -> Iterator[dg.DagsterRun]:
    """Yield the runs that ended before a moment, oldest first."""
    filters = dg.RunsFilter(statuses=list(_ENDED), updated_before=before.astimezone(UTC))
    cursor = None
    while True:
        records = instance.get_run_records(filters, limit=_BATCH, ascending=True, cursor=cursor)
        yield from (record.dagster_run for record in records)
        if len(records) < _BATCH:
            return
        cursor = records[-1].dagster_run.run_id


def _unfinished(instance: dg.DagsterInstance) -> Iterator[str]:
    """Yield the unfinished runs, and those that they re-execute."""
    for run in instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES)):
        yield from filter(None, (run.run_id, run.parent_run_id, run.root_run_id))
