"""Keeps the studies of the registry and Dagster's partitions the same."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from orch_assets.defs.dagster_internals import (
    BulkActionsFilter,
    BulkActionStatus,
    UnresolvedAssetJobDefinition,
)
from orch_assets.defs.partitions import STUDIES_NAME, is_run_over_studies, range_requests, studies
from orch_assets.defs.resources import OrchestrationResource, RegistryResource
from orch_assets.defs.runs.interrupts import cancelled_by_ctrl_c
from orch_assets.defs.set_in_code import NOTHING
from orch_assets.errors import StudiesInUseError
from orch_assets.orchestration.selection import Selection, select_studies
from orch_assets.orchestration.study_sync import StudySyncPlan, plan_study_sync

MAX_KEYS_PER_TICK: Final = 500
_SECONDS_BETWEEN_TICKS: Final = 300
_TIME_TO_BEGIN: Final = timedelta(hours=1)
_UNFINISHED: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def look_at_registry(
    instance: dg.DagsterInstance,
    registry: RegistryResource,
    orchestration: OrchestrationResource,
    absences: Mapping[str, int],
) -> StudySyncPlan:
    """Return what the registry's studies, through the filter, change of the known ones.

    Raises:
        FilterConflictError, ImednetError: as ``read_selection``.
        StudyLossError, NoStudiesError: as ``plan_study_sync``.
    """
    return plan_study_sync(
        read_selection(registry, orchestration),
        orchestration.study_filter(),
        instance.get_dynamic_partitions(STUDIES_NAME),
        absences,
        accepted_loss=orchestration.accepted_loss(),
    )


def read_selection(registry: RegistryResource, orchestration: OrchestrationResource) -> Selection:
    """Return what the filter makes of the registry's studies.

    Raises:
        FilterConflictError: before any request.
        ImednetError: the registry can't be read.
    """
    study_filter = orchestration.study_filter()
    listed = [study.study_key for study in registry.sdk.studies.list()]
    return select_studies(listed, study_filter)


def build_study_sensor(
    job: dg.JobDefinition | UnresolvedAssetJobDefinition,
    graph_keys: Iterable[dg.AssetKey],
    *,
    per_run: int | None = None,
) -> dg.SensorDefinition:
    """Return the sensor that fills and empties the partitions ``studies``.

    Args:
        job: runs the pipelines of new studies.
        graph_keys: assets of the study graphs; while a run of theirs is unfinished, no study is
            retired, since that would break the run.
        per_run: new studies in one run; None is one run for all.
    """
    keys = frozenset(graph_keys)

    @dg.sensor(
        name="study_registry_sensor",
        job=job,
        minimum_interval_seconds=_SECONDS_BETWEEN_TICKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Adds new iMednet studies and runs them; retires studies that left.",
    )
    def study_registry_sensor(
        context: dg.SensorEvaluationContext,
        registry: RegistryResource,
        orchestration: OrchestrationResource,
    ) -> dg.SensorResult:
        absences = json.loads(context.cursor) if context.cursor else {}
        change = look_at_registry(context.instance, registry, orchestration, absences)
        add = change.add[:MAX_KEYS_PER_TICK]
        retire = sorted(change.retire)[:MAX_KEYS_PER_TICK]
        if retire and (busy := unfinished_work(context.instance, keys)):
            context.log.info("Nothing is retired while %s goes on.", ", ".join(busy))
            retire = []
        for sentence in change.sentences:
            context.log.info(sentence)
        for key in retire:
            context.log.info("%s is retired: %s.", key, change.retire[key])
        return dg.SensorResult(
            # Without a run key: Dagster remembers those for ever, and a study that returns is
            # run again. The new studies are added together, so they are one range.
            run_requests=range_requests(add, per_run=per_run) if add else [],
            skip_reason=None if add else _nothing_new(change, retire),
            dynamic_partitions_requests=_partition_requests(add, retire),
            cursor=json.dumps(
                {key: count for key, count in change.absences.items() if key not in set(retire)}
            ),
        )

    return study_registry_sensor


def _partition_requests(
    add: Sequence[str], retire: Sequence[str]
) -> list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest]:
    requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
    if add:
        requests.append(studies.build_add_request(list(add)))
    if retire:
        requests.append(studies.build_delete_request(list(retire)))
    return requests


def _nothing_new(change: StudySyncPlan, retire: Sequence[str]) -> str:
    count = len(change.selection.selected)
    retired = f" Retired: {', '.join(retire)}." if retire else ""
    # The UI's list of ticks shows this, and not the log.
    in_vain = "".join(f" {sentence}" for sentence in change.selection.not_runnable)
    return f"No new study; the filter selects {count} of the registry's.{retired}{in_vain}"


def unfinished_work(instance: dg.DagsterInstance, keys: frozenset[dg.AssetKey]) -> list[str]:
    """Return the runs and backfills over studies of these assets that are queued or under way."""
    runs = [
        f"run {record.dagster_run.run_id}"
        for record in instance.get_run_records(filters=dg.RunsFilter(statuses=_UNFINISHED))
        if is_run_over_studies(record.dagster_run, keys) and not _never_began(record)
    ]
    requested = BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])
    return runs + [
        f"backfill {backfill.backfill_id}"
        for backfill in instance.get_backfills(filters=requested)
        if not keys.isdisjoint(backfill.asset_selection or keys)
    ]


def _never_began(record: dg.RunRecord) -> bool:
    """Whether a run was made and left: its command was interrupted before it could begin it."""
    age = datetime.now(UTC) - record.create_timestamp.replace(tzinfo=UTC)
    return record.dagster_run.status == dg.DagsterRunStatus.NOT_STARTED and age > _TIME_TO_BEGIN


def retire_studies(
    instance: dg.DagsterInstance, study_keys: Sequence[str], graph_keys: Iterable[dg.AssetKey]
) -> None:
    """Remove studies from the partitions ``studies``; their artifacts and events stay.

    Args:
        instance: whose partitions.
        study_keys: partitions to remove.
        graph_keys: assets of the study graphs.

    Raises:
        StudiesInUseError: a run or backfill over studies is unfinished; nothing was removed.
    """
    if study_keys and (busy := unfinished_work(instance, frozenset(graph_keys))):
        raise StudiesInUseError(study_keys, busy)
    for study_key in study_keys:
        instance.delete_dynamic_partition(STUDIES_NAME, study_key)


def build_sync_job() -> dg.JobDefinition:
    """Return the job ``sync_studies``: adds every new study of the registry at once.

    It runs no pipeline and retires no study: the sensor does, and a person with
    ``orch-assets studies retire``. It fails when a study that was asked for can't be run.
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
