"""Runs and backfills over studies: those that haven't begun, haven't ended, or ended lately."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg

from orch_assets.defs.dagster_internals import requested_backfills
from orch_assets.defs.partitions import is_run_over_studies, range_of

_UNFINISHED: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_NOT_BEGUN: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
]
_ENDED: Final = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]
_BATCH: Final = 1000
# The end of a run may be stored later than that of a run which ended after it. Each look at runs
# that ended goes back by this.
_LOOK_BACK_SECONDS: Final = 300.0
# A run that is still being created or launched after this time never begins: the process that did
# it is gone.
_TIME_TO_BEGIN: Final = timedelta(hours=1)
_TRY_AGAIN_AFTER: Final = timedelta(minutes=10)


def unfinished_work(instance: dg.DagsterInstance, keys: frozenset[dg.AssetKey]) -> list[str]:
    """Return the queued and unfinished runs and backfills of these assets over studies."""
    runs = [f"run {run.run_id}" for run in _unfinished_runs(instance, keys)]
    return runs + [f"backfill {each}" for each in _backfills(instance, keys)]


@dataclass(frozen=True)
class EndedRuns:
    """The runs over studies that ended since a sensor looked.

    Attributes:
        up_to: When the last run ended, as a timestamp; now, if that is later. The next look goes
            back from here.
        run_ids: The runs, in the order in which they ended.
        seen: Those of them that the next look will find again.
    """

    up_to: float
    run_ids: list[str]
    seen: list[str]


def ended_runs(
    instance: dg.DagsterInstance, keys: frozenset[dg.AssetKey], up_to: float, now: float
) -> EndedRuns:
    """Return the runs of these assets that ended since a look, or shortly before it.

    Args:
        instance: The instance.
        keys: The assets.
        up_to: When the last run ended according to that look, as a timestamp.
        now: The current timestamp. A clock that was ahead may have dated ends later than this.
    """
    up_to = min(up_to, now)
    ended: dict[str, float] = {}
    for record in _ended_since(instance, up_to - _LOOK_BACK_SECONDS):
        at = _ended_at(record)
        up_to = min(max(up_to, at), now)
        if is_run_over_studies(record.dagster_run, keys):
            ended[record.dagster_run.run_id] = at
    run_ids = sorted(ended, key=ended.__getitem__)
    seen = [run_id for run_id in run_ids if ended[run_id] >= up_to - _LOOK_BACK_SECONDS]
    return EndedRuns(up_to, run_ids, seen)


def last_end(instance: dg.DagsterInstance) -> float | None:
    """Return when the last run of any assets ended, as a timestamp; None if none has ended."""
    filters = dg.RunsFilter(statuses=_ENDED)
    records = instance.get_run_records(filters, order_by="update_timestamp", limit=1)
    return _ended_at(records[0]) if records else None


def is_being_planned(instance: dg.DagsterInstance, keys: frozenset[dg.AssetKey]) -> bool:
    """Return whether a run of these assets is still being created; for thousands, it takes minutes.

    Until then, the event log doesn't tell which studies it is over.
    """
    created_after = datetime.now(UTC) - _TIME_TO_BEGIN
    filters = dg.RunsFilter(statuses=[dg.DagsterRunStatus.NOT_STARTED], created_after=created_after)
    return any(is_run_over_studies(run, keys) for run in instance.get_runs(filters))


def studies_underway(
    instance: dg.DagsterInstance, keys: frozenset[dg.AssetKey], partitions: Sequence[str]
) -> set[str]:
    """Return the studies of queued and unfinished runs of these assets, according to their tags.

    The event log may lack some of them: if the daemon dies while it creates a run, it completes the
    run later, but not the run's planned events.
    """
    positions = {study_key: position for position, study_key in enumerate(partitions)}
    studies: set[str] = set()
    for run in _unfinished_runs(instance, keys):
        first, last = (positions.get(study_key) for study_key in range_of(run))
        if first is not None and last is not None:
            studies.update(partitions[first : last + 1])
    return studies


def is_backfill_requested(instance: dg.DagsterInstance, keys: frozenset[dg.AssetKey]) -> bool:
    """Return whether a backfill of these assets may still create runs."""
    return bool(_backfills(instance, keys))


def run_that_waits(instance: dg.DagsterInstance, job_name: str) -> str | None:
    """Return the ID of a run of a job that hasn't begun yet, but will; None without one."""
    filters = dg.RunsFilter(job_name=job_name, statuses=_NOT_BEGUN)
    for record in instance.get_run_records(filters):
        queued = record.dagster_run.status == dg.DagsterRunStatus.QUEUED
        if queued or _age(record.update_timestamp) <= _TIME_TO_BEGIN:
            return record.dagster_run.run_id
    return None


def must_try_again(instance: dg.DagsterInstance, job_name: str) -> bool:
    """Return whether a job's newest run failed or was cancelled, ten minutes ago or earlier."""
    return any(
        record.dagster_run.is_failure_or_canceled
        and _age(record.update_timestamp) >= _TRY_AGAIN_AFTER
        for record in instance.get_run_records(dg.RunsFilter(job_name=job_name), limit=1)
    )


def newest_state(states: Iterable[Any], name: str) -> Any:
    """Return the state of the sensor with a name that ticked last; None without one.

    A code location that was renamed or removed leaves its sensors' states behind.

    Args:
        states: The instance's sensors and schedules.
        name: The sensor.
    """

    def ticked_at(state: Any) -> float:
        return getattr(state.instigator_data, "last_tick_timestamp", None) or 0.0

    found = [state for state in states if state.instigator_name == name]
    return max(found, key=ticked_at, default=None)


def _ended_since(instance: dg.DagsterInstance, since: float) -> Iterator[dg.RunRecord]:
    """Yield the runs that ended after a timestamp, page by page.

    The pages follow the runs' IDs, because any number of runs may have ended at the same moment.
    """
    after = datetime.fromtimestamp(max(0.0, since), tz=UTC)
    filters = dg.RunsFilter(statuses=_ENDED, updated_after=after)
    cursor = None
    while True:
        page = instance.get_run_records(filters, limit=_BATCH, cursor=cursor, ascending=True)
        yield from page
        if len(page) < _BATCH:
            return
        cursor = page[-1].dagster_run.run_id


def _ended_at(record: dg.RunRecord) -> float:
    return record.update_timestamp.replace(tzinfo=UTC).timestamp()


def _unfinished_runs(
    instance: dg.DagsterInstance, keys: frozenset[dg.AssetKey]
) -> list[dg.DagsterRun]:
    return [
        record.dagster_run
        for record in instance.get_run_records(filters=dg.RunsFilter(statuses=_UNFINISHED))
        if is_run_over_studies(record.dagster_run, keys) and not _never_began(record)
    ]


def _backfills(instance: dg.DagsterInstance, keys: frozenset[dg.AssetKey]) -> list[str]:
    return [
        backfill.backfill_id
        for backfill in requested_backfills(instance)
        if not keys.isdisjoint(backfill.asset_selection or keys)
    ]


def _never_began(record: dg.RunRecord) -> bool:
    """Return whether a run was created but never launched, because its command was interrupted."""
    is_created = record.dagster_run.status == dg.DagsterRunStatus.NOT_STARTED
    return is_created and _age(record.create_timestamp) > _TIME_TO_BEGIN


def _age(timestamp: datetime) -> timedelta:
    return datetime.now(UTC) - timestamp.replace(tzinfo=UTC)
