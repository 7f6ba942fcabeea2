"""Keeps the studies of the registry and Dagster's partitions the same."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

# Not in Dagster's public API, and there is no public way to ask for unfinished backfills.
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus

from orch_assets.defs.interrupts import cancelled_by_ctrl_c
from orch_assets.defs.partitions import STUDIES_NAME, is_run_over_studies, range_requests, studies
from orch_assets.defs.resources import OrchestrationResource, RegistryResource
from orch_assets.orchestration.roster import (
    LOOKS_BEFORE_RETIRING,
    RosterChange,
    plan_roster,
)
from orch_assets.orchestration.selection import select_studies

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
) -> RosterChange:
    """Return what the registry's studies, through the filter, change of the known ones.

    Raises:
        FilterConflictError: before any request.
        ImednetError: the registry can't be read.
        StudyLossError, NoStudiesError: as ``plan_roster``.
    """
    study_filter = orchestration.study_filter()
    listed = [study.study_key for study in registry.sdk.studies.list()]
    known = instance.get_dynamic_partitions(STUDIES_NAME)
    selection = select_studies(listed, study_filter)
    return plan_roster(
        selection, study_filter, known, absences, accepted_loss=orchestration.accepted_loss()
    )


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
        description="Adds the registry's new studies and runs them; retires those that left.",
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


def _nothing_new(change: RosterChange, retire: Sequence[str]) -> str:
    count = len(change.selection.selected)
    retired = f" Retired: {', '.join(retire)}." if retire else ""
    return f"No new study; the filter selects {count} of the registry's.{retired}"


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


def build_sync_job(graph_keys: Iterable[dg.AssetKey]) -> dg.JobDefinition:
    """Return the job ``sync_studies``: the sensor's logic for first use and the command line.

    It adds every new study at once and retires what the filter excludes. What the registry no
    longer lists is retired only with ``retire_absent``: one look can't tell a study that is gone
    from one that was missing in one answer. It runs no pipeline.
    """
    keys = frozenset(graph_keys)

    @dg.op(config_schema={"retire_absent": dg.Field(bool, default_value=False)})
    @cancelled_by_ctrl_c
    def sync_studies_with_registry(
        context: dg.OpExecutionContext,
        registry: RegistryResource,
        orchestration: OrchestrationResource,
    ) -> None:
        looks = LOOKS_BEFORE_RETIRING if context.op_config["retire_absent"] else 0
        known = context.instance.get_dynamic_partitions(STUDIES_NAME)
        absences = dict.fromkeys(known, looks)
        change = look_at_registry(context.instance, registry, orchestration, absences)
        for sentence in change.sentences:
            context.log.info(sentence)
        context.instance.add_dynamic_partitions(STUDIES_NAME, change.add)
        if change.retire and (busy := unfinished_work(context.instance, keys)):
            raise dg.Failure(
                f"Retiring {', '.join(change.retire)} would break {', '.join(busy)}. Wait for it, "
                "or terminate it in the UI if its process is gone, and run sync_studies again. "
                "New studies were added.",
                allow_retries=False,
            )
        for study_key in change.retire:
            context.instance.delete_dynamic_partition(STUDIES_NAME, study_key)

    @dg.job(description="Makes the partitions `studies` match the registry; runs no pipeline.")
    def sync_studies() -> None:
        sync_studies_with_registry()

    return sync_studies
