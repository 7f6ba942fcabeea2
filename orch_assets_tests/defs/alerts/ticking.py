"""A location whose studies fail as told, and a daemon that ticks its two sensors of alerts."""

import sys
import time
from datetime import UTC, datetime

import dagster as dg
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._utils.error import serializable_error_info_from_exc_info

from orch_assets import study_pipeline
from orch_assets.defs.alerts.alert_sensors import FRESHNESS_SENSOR
from orch_assets.defs.alerts.alerts_tick import tell_changes
from orch_assets.defs.alerts.freshness_tick import note_changes
from orch_assets.defs.runs.first_runs import REGISTRY_SENSOR, SensorMemory
from orch_assets_tests.support.harness import Account, definitions

KEYS = frozenset({dg.AssetKey("labs"), dg.AssetKey("visits")})


class Location:
    """A code location of two pipelines; ``failing`` holds what a study raises in ``labs``."""

    def __init__(self, folder):
        self.failing = {}

        @study_pipeline
        def labs(study_key, sdk, study_logger):
            if study_key in self.failing:
                raise self.failing[study_key]
            return {"rows": 1}

        @study_pipeline
        def visits(study_key, sdk, study_logger, labs):
            return labs

        self.defs = definitions(folder, labs, visits, registry=Account())


class Daemon:
    """Ticks the sensors as the daemon does: it stores their cursors and their events."""

    def __init__(self, real, keys=KEYS):
        self.real, self.keys, self.now = real, keys, time.time()
        self.alerts = self.freshness = None
        self.said = ""

    def tick(self, seconds=0.0):
        """Evaluate ``study_alerts_sensor`` some seconds later."""
        self.now += seconds
        result = tell_changes(self.real, self.keys, self.alerts, lambda: self.now)
        self.alerts, self.said = result.cursor, result.skip_reason.skip_message
        return self.said

    def freshness_only(self, hours=0.0):
        """Evaluate ``study_freshness_sensor`` some hours later, and store nothing."""
        self.now += hours * 3600
        now = datetime.fromtimestamp(self.now, tz=UTC)
        return note_changes(self.real, ["labs", "visits"], self.freshness, now)

    def look_for_stale(self, hours=0.0):
        """Evaluate ``study_freshness_sensor`` some hours later; return its events."""
        result = self.freshness_only(hours)
        for event in result.asset_events:
            self.real.report_runless_asset_event(event)
        self.freshness = result.cursor
        self.store(FRESHNESS_SENSOR, result.cursor)
        return result.asset_events

    def registry_ticks(self, error=None, absences=(), **state):
        """Store a tick of ``study_registry_sensor``: one that failed, or what it found missing."""
        memory = SensorMemory(absences=dict.fromkeys(absences, 1), begun="", at=self.now)
        state = self.store(REGISTRY_SENSOR, memory.write(), **state)
        self.real.create_tick(
            TickData(
                state.instigator_origin_id,
                REGISTRY_SENSOR,
                InstigatorType.SENSOR,
                TickStatus.FAILURE if error else TickStatus.SKIPPED,
                time.time(),
                error=_as_stored(error) if error else None,
                selector_id=state.selector_id,
            )
        )

    def store(self, name, cursor, **options):
        """Store a sensor's cursor."""
        state = state_of(name, cursor, **options)
        if self.real.get_instigator_state(state.instigator_origin_id, state.selector_id):
            self.real.update_instigator_state(state)
        else:
            self.real.add_instigator_state(state)
        return state


def _as_stored(error):
    """Return an error as Dagster stores it: as the cause of one of its own."""
    try:
        _fail_with(error)
    except RuntimeError:
        return serializable_error_info_from_exc_info(sys.exc_info())


def _fail_with(error):
    raise RuntimeError("Error in sensor") from error


def state_of(name, cursor, location="orch_assets", last_tick=None):
    """Return a sensor's state, as the daemon stores it."""
    target = LoadableTargetOrigin(module_name="orch_assets.definitions")
    origin = ManagedGrpcPythonEnvCodeLocationOrigin(target, location)
    repository = RemoteRepositoryOrigin(origin, "__repository__")
    return InstigatorState(
        RemoteInstigatorOrigin(repository, name),
        InstigatorType.SENSOR,
        InstigatorStatus.RUNNING,
        SensorInstigatorData(cursor=cursor, last_tick_timestamp=last_tick),
    )
