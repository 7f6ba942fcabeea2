"""The real code location, whose sensors may tick each second, for a daemon under test."""

import copy

import dagster as dg

from orch_assets import definitions


def impatient(sensor: dg.SensorDefinition) -> dg.SensorDefinition:
    hurried = copy.copy(sensor)
    hurried._min_interval = 1
    return hurried


defs = dg.Definitions(
    assets=definitions.defs.assets,
    jobs=definitions.defs.jobs,
    sensors=[impatient(sensor) for sensor in definitions.defs.sensors or []],
    # Without the schedule: a test at five in the morning would see one run more.
    resources=definitions.defs.resources,
    executor=definitions.defs.executor,
)
