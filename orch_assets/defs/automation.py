"""Automation: the runs that Dagster starts by itself."""

import warnings
from collections.abc import Iterable
from typing import Final

import dagster as dg

from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets.defs.runs.first_runs import left_to_registry_sensor, without_run
from orch_assets.defs.runs.run_states import is_being_planned, studies_underway

# Two clocks that never tick together: a study must be missing at a tick of the first, and still be
# missing at a tick of the second, five minutes later.
_FIRST_CLOCK: Final = "*/10 * * * *"
_SECOND_CLOCK: Final = "5-59/10 * * * *"
_IN_TIME_MINUTES: Final = 2


class NeverRun(dg.AutomationCondition[dg.AssetKey]):
    """True for a study that no run was ever created for, according to the current event log.

    Dagster's own conditions determine the missing studies when a tick begins, and those in progress
    later in the tick. A study that begins or ends in between seems missing and idle. On Postgres, a
    cached status can miss a materialization permanently. The event log is reliable: a run plans its
    studies when it is created, and that event remains, however the run ends. Such a study is
    missing, and has no run that is in progress or failed.
    """

    @property
    def description(self) -> str:
        """The text that the UI shows beside the condition."""
        return "No run was ever created for it"

    def evaluate(
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """Return the candidates that no run planned; none while a run is still being created."""
        subset = context.candidate_subset
        instance = context.asset_graph_view.instance
        keys = set(subset.expensively_compute_partition_keys())
        if keys := without_run(instance, context.key, keys):
            partitions = instance.get_dynamic_partitions(STUDIES_NAME)
            keys -= studies_underway(instance, frozenset({context.key}), partitions)
            keys -= left_to_registry_sensor(instance)
            if is_being_planned(instance, frozenset({context.key})):
                keys = set()
            # Last, because a run that was created meanwhile may have ended.
            keys = without_run(instance, context.key, keys)
        subset = subset.compute_intersection_with_partition_keys(keys)
        return dg.AutomationResult(context, true_subset=subset)


class InTime(dg.AutomationCondition[dg.AssetKey]):
    """True if the first clock ticked at most two minutes ago.

    After a pause of the daemon, the second clock may tick directly after an evaluation. The grace
    period of the studies found by that evaluation begins with the next tick of the first clock.
    """

    @property
    def description(self) -> str:
        """The text that the UI shows beside the condition."""
        return "Evaluated at most two minutes after a full ten minutes"

    def evaluate(
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """Return all candidates or none."""
        in_time = context.evaluation_time.minute % 10 < _IN_TIME_MINUTES
        subset = context.candidate_subset if in_time else context.get_empty_subset()
        return dg.AutomationResult(context, true_subset=subset)


def still_missing() -> dg.AutomationCondition[dg.AssetKey]:
    """Return the condition for studies that no run was ever created for and none is about to be.

    The sensor that finds a new study also starts it. This condition starts only the studies that
    have no run (the sensor's run was lost, or the pipeline is new), after a grace period of five
    to fifteen minutes without a run or a backfill. A study whose run failed or was cancelled isn't
    started again: a user or the schedule does that.

    The event log is read when a clock ticks, not at each evaluation: with thousands of studies, an
    evaluation in between costs almost nothing.
    """
    first = dg.AutomationCondition.cron_tick_passed(_FIRST_CLOCK)
    second = dg.AutomationCondition.cron_tick_passed(_SECOND_CLOCK)
    idle = NeverRun() & ~dg.AutomationCondition.backfill_in_progress()
    # A study stays here when it is run: at the second clock, `idle` leaves it out.
    seen = (first & InTime() & idle).since(dg.AutomationCondition.newly_requested())
    # If the first clock ticked, too, since the last evaluation, `seen` is new.
    return (second & ~first & seen & idle).with_label("still missing after its grace period")


def sensor_status(*, running: bool) -> dg.DefaultSensorStatus:
    """Return the status of a sensor that no user has switched on or off."""
    return dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED


def build_automation_sensor(
    keys: Iterable[dg.AssetKey], *, running: bool = False
) -> dg.AutomationConditionSensorDefinition:
    """Return the sensor that evaluates the conditions of these assets.

    Args:
        keys: The assets.
        running: Whether the sensor is switched on unless a user stops it.
    """
    with warnings.catch_warnings():
        # Evaluating conditions on the code server is beta: Dagster is pinned, and a test covers it.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.AutomationConditionSensorDefinition(
            "study_automation_sensor",
            target=dg.AssetSelection.assets(*keys),
            minimum_interval_seconds=60,  # the conditions only change when one of the clocks ticks
            default_status=sensor_status(running=running),
            description="Runs studies that have never run: new studies, new pipelines, lost runs.",
            use_user_code_server=True,  # the daemon knows only Dagster's own conditions
        )
