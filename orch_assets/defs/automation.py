"""What Dagster starts by itself."""

from collections.abc import Iterable
from typing import Final

import dagster as dg

# Two clocks that never strike together: a study must have been missing at a stroke of the first
# and then, five minutes later, still be missing at one of the second.
_FIRST_CLOCK: Final = "*/10 * * * *"
_SECOND_CLOCK: Final = "5-59/10 * * * *"


def still_missing() -> dg.AutomationCondition[dg.AssetKey]:
    """Return the condition of a study that is missing and that nobody else takes care of.

    A new study is started by the sensor that found it. This condition takes only what stays
    missing (the sensor's run was lost, or the pipeline is new), after a grace period of five to
    fifteen minutes, so that no study is started twice. A study that failed stays failed until
    somebody runs it again.
    """
    missing = dg.AutomationCondition.missing()
    begins = (
        missing.newly_true()
        | dg.AutomationCondition.initial_evaluation()
        | dg.AutomationCondition.newly_requested()
    )
    seen = dg.AutomationCondition.cron_tick_passed(_FIRST_CLOCK).since(begins)
    waited = dg.AutomationCondition.cron_tick_passed(_SECOND_CLOCK).since(seen.newly_true())
    return (
        missing
        & seen
        & waited
        & ~dg.AutomationCondition.in_progress()
        & ~dg.AutomationCondition.execution_failed()
    ).with_label("still missing after its grace period")


def build_automation_sensor(keys: Iterable[dg.AssetKey]) -> dg.AutomationConditionSensorDefinition:
    """Return the sensor that evaluates the conditions of these assets."""
    return dg.AutomationConditionSensorDefinition(
        "study_automation_sensor",
        target=dg.AssetSelection.assets(*keys),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Runs what stays missing.",
    )
