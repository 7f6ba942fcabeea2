"""Dagster's old runs: which of them nothing needs any more, and their removal."""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Final

import dagster as dg

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


class OldRuns:
    """The runs that ended before a moment.

    Some of them stay: those that wrote the newest event of an asset's partition, or of a check;
    marked ones; those that an unfinished run re-executes; those of an unfinished backfill.

    Args:
        instance: The instance.
        before: The moment.
        marked: IDs of the marked runs.
    """

    def __init__(
        self, instance: dg.DagsterInstance, before: datetime, marked: Collection[str] = ()
    ) -> None:
        self._instance = instance
        self._needed = {*runs_of_newest_events(instance), *marked, *_unfinished(instance)}
        backfills = {each.backfill_id for each in requested_backfills(instance)}
        old = [*_ended_before(instance, before)]
        self.kept = {
            run.run_id
            for run in old
            if run.run_id in self._needed or run.tags.get("dagster/backfill") in backfills
        }
        self._removed = [run.run_id for run in old if run.run_id not in self.kept]

    def remove(self, *, dry_run: bool = False) -> list[Freed]:
        """Remove those that nothing needs, oldest first; return what that was, by kind."""
        runs, events, logs = Freed("runs"), Freed("events"), Freed("compute logs")
        for run_id in self._removed:
            logs.add(*compute_logs_of(self._instance, run_id))
            events.add(*size_of_run(self._instance, run_id))
            runs.add(1, 0)
            if not dry_run:
                delete_compute_logs(self._instance, run_id)
                delete_run(self._instance, run_id)
        return [each for each in (runs, events, logs) if each.count]


def is_any_under_way(instance: dg.DagsterInstance, own: str | None) -> bool:
    """Return whether a run other than this one hasn't ended."""
    records = instance.get_run_records(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES), limit=2)
    return any(each.dagster_run.run_id != own for each in records)


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
