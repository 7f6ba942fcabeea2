"""Keeps Dagster's partitions in step with the studies of the registry."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import dagster as dg

from orch_assets.defs.dagster_internals import UnresolvedAssetJobDefinition
from orch_assets.defs.partitions import STUDIES_NAME, range_requests, studies
from orch_assets.defs.resources import OrchestrationResource, RegistryResource
from orch_assets.defs.runs.interrupts import cancelled_by_ctrl_c
from orch_assets.defs.runs.run_states import unfinished_work
from orch_assets.defs.set_in_code import NOTHING
from orch_assets.errors import StudiesInUseError
from orch_assets.orchestration.selection import Selection, select_studies
from orch_assets.orchestration.study_sync import StudySyncPlan, plan_study_sync

MAX_KEYS_PER_TICK: Final = 500
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
) -> dg.SensorDefinition:
    """Return the sensor that adds and removes partitions of ``studies``.

    Args:
        job: Runs the pipelines of new studies.
        graph_keys: Assets of the study graphs. While a run of them is unfinished, no study is
            retired, because that would break the run.
        per_run: Number of new studies in one run; None means one run for all.
    """
    keys = frozenset(graph_keys)

    @dg.sensor(
        name="study_registry_sensor",
        job=job,
        minimum_interval_seconds=_SECONDS_BETWEEN_TICKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Adds new iMednet studies and runs them. Retires studies that iMednet no "
        "longer lists, or that the filter excludes.",
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
            context.log.info("No study is retired until these finish: %s.", ", ".join(busy))
            retire = []
        for sentence in change.sentences:
            context.log.info(sentence)
        for key in retire:
            context.log.info("%s is retired: %s.", key, change.retire[key])
        return dg.SensorResult(
            # No run key: Dagster remembers run keys forever, and a study that returns must run
            # again. The new studies are added together, so they form one range.
            run_requests=range_requests(add, per_run=per_run) if add else [],
            skip_reason=None if add else _skip_reason(change, retire),
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


def _skip_reason(change: StudySyncPlan, retire: Sequence[str]) -> str:
    count = len(change.selection.selected)
    retired = f" Retired: {', '.join(retire)}." if retire else ""
    # The UI's list of ticks shows the skip reason, but not the log.
    not_runnable = "".join(f" {sentence}" for sentence in change.selection.not_runnable)
    return f"No new studies. Studies that the filter selects: {count}.{retired}{not_runnable}"


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
