"""The real code location, whose sensors may tick each second, for a daemon under test."""

import copy

import dagster as dg

from orch_assets.definitions import defs as real


def _impatient(sensor: dg.SensorDefinition) -> dg.SensorDefinition:
    hurried = copy.copy(sensor)
    hurried._min_interval = 1
    return hurried


defs = dg.Definitions(
    assets=real.assets,
    jobs=real.jobs,
    sensors=[_impatient(sensor) for sensor in real.sensors or []],
    # Without the schedule: a test at five in the morning would see one run more.
    resources=real.resources,
    executor=real.executor,
)
