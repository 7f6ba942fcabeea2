"""What Dagster starts by itself."""

import warnings
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from orch_assets.defs.partitions import is_run_over_studies

# Two clocks that never strike together: a study must have been missing at a stroke of the first
# and then, five minutes later, still be missing at one of the second.
_FIRST_CLOCK: Final = "*/10 * * * *"
_SECOND_CLOCK: Final = "5-59/10 * * * *"

# A run that has not begun after so long never will: its creator is gone.
_TIME_TO_CREATE: Final = timedelta(hours=1)

# What a run leaves in the event log of each of its studies, at the latest.
_RUN_EVENTS: Final = (
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
)


class NeverRun(dg.AutomationCondition[dg.AssetKey]):
    """True of a study that no run was ever made for, as the event log has it at this moment.

    Dagster reads what is missing when a tick begins, and what is in progress later in the tick. A
    study that begins or ends between the two looks missing and idle, and on Postgres a cached
    status can overlook a materialization for good. The event log itself knows better: a run plans
    its studies when it is created, and that event stays, however the run ends.
    """

    @property
    def description(self) -> str:
        """What the UI shows beside the condition."""
        return "No run was ever made for it"

    def evaluate(
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """Return the candidates that no run planned; none while a run is still being created."""
        never = context.candidate_subset
        keys = set(never.expensively_compute_partition_keys())
        instance = context.asset_graph_view.instance
        if keys and _a_run_is_being_created(instance, context.key):
            never = context.get_empty_subset()
        elif keys:
            for kind in _RUN_EVENTS:
                found = instance.get_latest_storage_id_by_partition(context.key, kind, keys)
                keys -= found.keys()
            never = never.compute_intersection_with_partition_keys(keys)
        return dg.AutomationResult(context, true_subset=never)


def _a_run_is_being_created(instance: dg.DagsterInstance, key: dg.AssetKey) -> bool:
    """Whether the studies of a run are still being planned, which takes minutes for thousands."""
    created_after = datetime.now(UTC) - _TIME_TO_CREATE
    filters = dg.RunsFilter(statuses=[dg.DagsterRunStatus.NOT_STARTED], created_after=created_after)
    return any(is_run_over_studies(run, frozenset({key})) for run in instance.get_runs(filters))


def still_missing() -> dg.AutomationCondition[dg.AssetKey]:
    """Return the condition of a study that is missing and that nobody else takes care of.

    A new study is started by the sensor that found it. This condition takes only what nobody
    started (the sensor's run was lost, or the pipeline is new), after a grace period of five to
    fifteen minutes without a run or a backfill. A study whose run failed or was cancelled stays
    so until somebody, or the schedule, runs it again.
    """
    idle = dg.AutomationCondition.missing() & ~dg.AutomationCondition.in_progress()
    begins = (
        idle.newly_true()
        | dg.AutomationCondition.initial_evaluation()
        | dg.AutomationCondition.newly_requested()
    )
    seen = dg.AutomationCondition.cron_tick_passed(_FIRST_CLOCK).since(begins)
    waited = dg.AutomationCondition.cron_tick_passed(_SECOND_CLOCK).since(seen.newly_true())
    return (
        idle & seen & waited & ~dg.AutomationCondition.execution_failed() & NeverRun()
    ).with_label("still missing after its grace period")


def build_automation_sensor(keys: Iterable[dg.AssetKey]) -> dg.AutomationConditionSensorDefinition:
    """Return the sensor that evaluates the conditions of these assets."""
    with warnings.catch_warnings():
        # To evaluate conditions on the code server is beta: Dagster is pinned, and a test holds it.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.AutomationConditionSensorDefinition(
            "study_automation_sensor",
            target=dg.AssetSelection.assets(*keys),
            default_status=dg.DefaultSensorStatus.RUNNING,
            description="Runs what has not run yet: new studies, new pipelines, lost runs.",
            use_user_code_server=True,  # the daemon knows no conditions but Dagster's own
        )
