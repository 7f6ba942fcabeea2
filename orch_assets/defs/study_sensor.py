"""Keeps Dagster's partitions in step with the studies of the registry."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import dagster as dg

from orch_assets.defs.automation import sensor_status
from orch_assets.defs.dagster_internals import UnresolvedAssetJobDefinition
from orch_assets.defs.partitions import (
    STUDIES_NAME,
    contiguous_pieces,
    range_requests,
    studies,
)
from orch_assets.defs.resources import OrchestrationResource, RegistryResource
from orch_assets.defs.runs.first_runs import (
    REGISTRY_SENSOR,
    FirstRuns,
    SensorMemory,
    after,
    plan_first_runs,
    studies_to_check,
    waiting_studies,
)
from orch_assets.defs.runs.interrupts import cancelled_by_ctrl_c
from orch_assets.defs.runs.run_states import (
    is_backfill_requested,
    studies_underway,
    unfinished_work,
)
from orch_assets.defs.set_in_code import NOTHING
from orch_assets.errors import StudiesInUseError
from orch_assets.orchestration.selection import Selection, select_studies
from orch_assets.orchestration.study_sync import StudySyncPlan, plan_study_sync

# Dagster asks its storage once for each partition that a tick adds or deletes: 2 ms of CPU each.
_ADDED_PER_TICK: Final = 1000
_RETIRED_PER_TICK: Final = 500
# Creating a run takes the daemon 12 to 18 ms of CPU for each study and pipeline. Meanwhile it
# evaluates no other sensor in the same thread, so the runs of a tick take a minute at most.
_STUDIES_PER_TICK: Final = 250
_RESULTS_PER_TICK: Final = 4000
_SECONDS_BETWEEN_TICKS: Final = 300


def look_at_registry(
    instance: dg.DagsterInstance,
    registry: RegistryResource,
    orchestration: OrchestrationResource,
    absences: Mapping[str, int],
) -> StudySyncPlan:
    """Read the registry and return which studies to add and to retire.

    Args:
        instance: Its partitions are the known studies.
        registry: The account to read.
        orchestration: The filter and the accepted loss.
        absences: ``absences`` of the previous check; empty without one.

    Raises:
        FilterConflictError, ImednetError: See :func:`read_selection`.
        StudyLossError, NoStudiesError: See :func:`plan_study_sync`.
    """
    return plan_study_sync(
        read_selection(registry, orchestration),
        orchestration.study_filter(),
        instance.get_dynamic_partitions(STUDIES_NAME),
        absences,
        accepted_loss=orchestration.accepted_loss(),
    )


def read_selection(registry: RegistryResource, orchestration: OrchestrationResource) -> Selection:
    """Read the registry's studies and apply the filter to them.

    Raises:
        FilterConflictError: Both a whitelist and a blacklist are set; no request was sent.
        ImednetError: The registry can't be read.
    """
    study_filter = orchestration.study_filter()
    listed = [study.study_key for study in registry.sdk.studies.list()]
    return select_studies(listed, study_filter)


def build_study_sensor(
    job: dg.JobDefinition | UnresolvedAssetJobDefinition,
    graph_keys: Iterable[dg.AssetKey],
    *,
    per_run: int | None = None,
    per_tick: int | None = None,
    running: bool = False,
) -> dg.SensorDefinition:
    """Return the sensor that adds and removes partitions of ``studies``.

    Args:
        job: Runs the pipelines of new studies.
        graph_keys: Assets of the study graphs. While a run of them is unfinished, no study is
            retired, because that would break the run.
        per_run: Number of new studies in one run; None means one run for all of a tick.
        per_tick: Number of new studies whose runs a tick requests at most. The default is 250, or
            fewer if there are more than 16 pipelines.
        running: Whether the sensor is switched on unless a user stops it.
    """
    keys = frozenset(graph_keys)
    limit = per_tick or max(1, min(_STUDIES_PER_TICK, _RESULTS_PER_TICK // max(1, len(keys))))

    @dg.sensor(
        name=REGISTRY_SENSOR,
        job=job,
        minimum_interval_seconds=_SECONDS_BETWEEN_TICKS,
        default_status=sensor_status(running=running),
        description="Adds new iMednet studies and runs them. Retires studies that iMednet no "
        "longer lists, or that the filter excludes.",
    )
    def study_registry_sensor(
        context: dg.SensorEvaluationContext,
        registry: RegistryResource,
        orchestration: OrchestrationResource,
    ) -> dg.SensorResult:
        return _Tick(context, keys, limit).result(registry, orchestration, per_run)

    return study_registry_sensor


class _Tick:
    """One evaluation of the sensor."""

    def __init__(
        self, context: dg.SensorEvaluationContext, keys: frozenset[dg.AssetKey], limit: int
    ) -> None:
        self.instance, self.log, self.keys, self.limit = context.instance, context.log, keys, limit
        self.memory = SensorMemory.read(context.cursor)

    def result(
        self, registry: RegistryResource, orchestration: OrchestrationResource, per_run: int | None
    ) -> dg.SensorResult:
        """Return which studies to add and to retire, and the first runs that are due."""
        newest_event = self.instance.event_log_storage.get_maximum_record_id() or 0
        change = look_at_registry(self.instance, registry, orchestration, self.memory.absences)
        for sentence in change.sentences:
            self.log.info(sentence)
        add, retire = change.add[:_ADDED_PER_TICK], self._retired(change)
        retired = set(retire)
        # Dagster adds the studies after this evaluation, so that a preview changes nothing. If it
        # dies before it creates their runs, the next tick finds them among the partitions.
        known = self.instance.get_dynamic_partitions(STUDIES_NAME)
        partitions = [*known, *add]
        remaining = [key for key in partitions if key not in retired]
        first_runs = self._first_runs(change, add, known, remaining, newest_event)
        pieces = contiguous_pieces(first_runs.batch, remaining)
        memory = SensorMemory(
            absences={k: count for k, count in change.absences.items() if k not in retired},
            begun=first_runs.begun,
            seen=remaining[-1] if remaining else None,
            since=first_runs.since,
            at=datetime.now(UTC).timestamp(),
        )
        return dg.SensorResult(
            # No run key: Dagster remembers run keys forever, and a study that returns must run
            # again.
            run_requests=[
                request for piece in pieces for request in range_requests(piece, per_run=per_run)
            ],
            skip_reason=None if pieces else _skip_reason(change, retire, waiting=first_runs.more),
            dynamic_partitions_requests=[
                *([studies.build_add_request(add)] if add else []),
                *([studies.build_delete_request(retire)] if retire else []),
            ],
            cursor=memory.write(),
        )

    def _retired(self, change: StudySyncPlan) -> list[str]:
        retire = sorted(change.retire)[:_RETIRED_PER_TICK]
        if retire and (busy := unfinished_work(self.instance, self.keys)):
            self.log.info("No study is retired until these finish: %s.", ", ".join(busy))
            return []
        for key in retire:
            self.log.info("%s is retired: %s.", key, change.retire[key])
        return retire

    def _first_runs(
        self,
        change: StudySyncPlan,
        add: Sequence[str],
        known: Sequence[str],
        remaining: Sequence[str],
        newest_event: int,
    ) -> FirstRuns:
        added, staying = set(add), set(remaining)
        unchecked, since = studies_to_check(known, self.memory)
        to_check = [key for key in (*unchecked, *add) if key in staying]
        # What others added waits for the next tick, because they may be about to run it.
        left_out = set(after(known, self.memory.seen)) - added | change.retire.keys()
        if to_check:
            left_out |= studies_underway(self.instance, self.keys, [*known, *add])
        plan = plan_first_runs(
            waiting_studies(self.instance, self.keys, to_check, since=since, added=added),
            remaining,
            since=since,
            added=added,
            left_out=left_out,
            limit=self.limit,
            newest_event=newest_event,
        )
        waited = not added.issuperset(plan.batch)
        if waited and is_backfill_requested(self.instance, self.keys):
            self.log.info("No first run is requested before the backfill has ended.")
            return replace(plan, batch=[], more=True)
        if plan.more:
            self.log.info("More studies wait for their first run; the next ticks request it.")
        return plan


def _skip_reason(change: StudySyncPlan, retire: Sequence[str], *, waiting: bool) -> str:
    count = len(change.selection.selected)
    found = "Studies wait for their first run." if waiting else "No new studies."
    retired = f" Retired: {', '.join(retire)}." if retire else ""
    # The UI's list of ticks shows the skip reason, but not the log.
    not_runnable = "".join(f" {sentence}" for sentence in change.selection.not_runnable)
    return f"{found} Studies that the filter selects: {count}.{retired}{not_runnable}"


def retire_studies(
    instance: dg.DagsterInstance, study_keys: Sequence[str], graph_keys: Iterable[dg.AssetKey]
) -> None:
    """Remove studies from the partitions ``studies``. Their artifacts and events stay.

    Args:
        instance: The instance that stores the partitions.
        study_keys: Partitions to remove.
        graph_keys: Assets of the study graphs.

    Raises:
        StudiesInUseError: A run or backfill over studies is unfinished; nothing was removed.
    """
    if study_keys and (busy := unfinished_work(instance, frozenset(graph_keys))):
        raise StudiesInUseError(study_keys, busy)
    for study_key in study_keys:
        instance.delete_dynamic_partition(STUDIES_NAME, study_key)


def build_sync_job() -> dg.JobDefinition:
    """Return the job ``sync_studies``, which adds all new studies of the registry at once.

    It runs no pipeline and retires no study. The sensor does both, and a user can retire studies
    with ``orch-assets studies retire``. The job fails if a requested study can't be run.
    """

    @dg.op(config_schema=NOTHING)
    @cancelled_by_ctrl_c
    def sync_studies_with_registry(
        context: dg.OpExecutionContext,
        registry: RegistryResource,
        orchestration: OrchestrationResource,
    ) -> None:
        change = look_at_registry(context.instance, registry, orchestration, absences={})
        for sentence in (*change.sentences, *change.left_to_sensor):
            context.log.info(sentence)
        context.instance.add_dynamic_partitions(STUDIES_NAME, change.add)
        if change.selection.not_runnable:
            raise dg.Failure(
                " ".join([*change.selection.not_runnable, "The other studies were added."]),
                allow_retries=False,
            )

    @dg.job(description="Adds new iMednet studies as partitions; runs no pipeline.")
    def sync_studies() -> None:
        sync_studies_with_registry()

    return sync_studies
