"""The sensors ``study_freshness_sensor`` and ``study_alerts_sensor``.

What they do at a tick is imported at the tick, so that loading the code location costs nothing.
"""

from collections.abc import Iterable
from typing import Final

import dagster as dg

FRESHNESS_SENSOR: Final = "study_freshness_sensor"
ALERTS_SENSOR: Final = "study_alerts_sensor"

_SECONDS_BETWEEN_EVALUATIONS: Final = 300
_SECONDS_BETWEEN_ALERTS: Final = 60


def build_freshness_sensor(tables: Iterable[str]) -> dg.SensorDefinition:
    """Return the sensor that notes which studies are stale in which tables.

    Args:
        tables: Names of the pipelines that run for all studies. Those that run on request are
            never stale.
    """
    names = sorted(tables)

    @dg.sensor(
        name=FRESHNESS_SENSOR,
        minimum_interval_seconds=_SECONDS_BETWEEN_EVALUATIONS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Notes which studies have had no success for ORCH_STALE_AFTER. Runs nothing.",
    )
    def study_freshness_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from orch_assets.defs.alerts.freshness_tick import note_changes

        return note_changes(context.instance, names, context.cursor)

    return study_freshness_sensor


def build_alerts_sensor(graph_keys: Iterable[dg.AssetKey]) -> dg.SensorDefinition:
    """Return the sensor that delivers alerts, if ``ORCH_ALERT_…`` say to whom.

    Args:
        graph_keys: Assets of the study graphs.
    """
    keys = frozenset(graph_keys)

    @dg.sensor(
        name=ALERTS_SENSOR,
        minimum_interval_seconds=_SECONDS_BETWEEN_ALERTS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells the receivers of ORCH_ALERT_WEBHOOK and ORCH_ALERT_EMAIL what is "
        "wrong with studies, once, and when it is over. Runs nothing.",
    )
    def study_alerts_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from orch_assets.defs.alerts.alerts_tick import tell_changes

        return tell_changes(context.instance, keys, context.cursor)

    return study_alerts_sensor
