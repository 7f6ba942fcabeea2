"""What one daemon costs for thousands of studies. ``sensor_tick`` runs this in two trees.

``python -P benchmarks/thousands.py WHAT``, with the tree to measure as working folder and on
``PYTHONPATH``, prints CPU seconds as a JSON object. The rows of the event log are those of one real
run, copied for the other studies.
"""

import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

os.environ |= {"ORCH_REGISTRY": "demo", "DAGSTER_DISABLE_TELEMETRY": "1"}

import dagster as dg
from dagster._core.definitions.automation_tick_evaluation_context import (
    AutomationTickEvaluationContext,
)
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.instance.types import CachingDynamicPartitionsLoader
from dagster._core.test_utils import freeze_time
from dagster._daemon.asset_daemon import (
    asset_daemon_cursor_from_instigator_serialized_cursor,
    asset_daemon_cursor_to_instigator_serialized_cursor,
)
from dagster._daemon.sensor import _handle_dynamic_partitions_requests
from dagster._time import datetime_from_timestamp

from orch_assets.definitions import defs
from orch_assets.defs.partitions import STUDIES_NAME, range_tags
from orch_assets.defs.resources import OrchestrationResource, RegistryResource

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
PLANNED = "ASSET_MATERIALIZATION_PLANNED"
NEVER_ENDED = 160
HALF_MINUTE = 30


def cpu_of(work: Callable[[], Any]) -> float:
    """Return the CPU seconds of a call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def study_keys(number: int) -> list[str]:
    """Return the keys of the studies, as the simulator has them."""
    return [f"S-{each:05}" for each in range(number)]


@contextmanager
def location_home() -> Iterator[dg.DagsterInstance]:
    """Give an instance with the artifacts of the location in its folder."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"ORCH_STORE": f"{folder}/artifacts", "DAGSTER_HOME": folder}
        with dg.instance_for_test(temp_dir=folder) as instance:
            yield instance


def known(instance: dg.DagsterInstance, keys: Sequence[str], never_ended: int) -> None:
    """Make studies look as if one run had been over them, by copies of the rows of one study.

    Args:
        instance: An empty instance.
        keys: The studies.
        never_ended: The run was killed when so many of them had no result.
    """
    registry = RegistryResource(kind="demo", demo_studies=1, demo_subjects=1)
    (template,) = [study.study_key for study in registry.sdk.studies.list()]
    instance.add_dynamic_partitions(STUDIES_NAME, [template])
    run = defs.resolve_job_def("study_pipelines").execute_in_process(
        instance=instance,
        tags={"dagster/partition": template},
        run_config=QUIET,
        resources={"registry": registry},
    )
    copy_rows(instance, template, PLANNED, keys)
    copy_rows(instance, template, "ASSET_MATERIALIZATION", keys[never_ended:])
    instance.add_dynamic_partitions(STUDIES_NAME, list(keys))
    instance.delete_dynamic_partition(STUDIES_NAME, template)
    if never_ended:
        instance.report_run_failed(run.dagster_run)


def copy_rows(instance: dg.DagsterInstance, template: str, kind: str, keys: Sequence[str]) -> None:
    """Copy the events of one kind of a study."""
    columns = "run_id, dagster_event_type, timestamp, step_key, asset_key"
    with closing(connection_of(instance)) as connection, connection:
        connection.execute("CREATE TEMP TABLE new (key TEXT)")
        connection.executemany("INSERT INTO new VALUES (?)", [(key,) for key in keys])
        connection.execute(
            f"INSERT INTO event_logs ({columns}, event, partition) "
            f"SELECT {columns}, replace(event, ?, new.key), new.key FROM event_logs, new "
            "WHERE partition = ? AND dagster_event_type = ? ORDER BY event_logs.id",
            [template, template, kind],
        )


def connection_of(instance: dg.DagsterInstance) -> sqlite3.Connection:
    """Return a connection to the event log of all runs."""
    return sqlite3.connect(instance.event_log_storage.path_for_shard("index"))


def registry_of(url: str, api_key: str, security_key: str) -> dict[str, Any]:
    """Return the resources of the registry sensor."""
    registry = RegistryResource(
        kind="imednet", api_key=api_key, security_key=security_key, base_url=url
    )
    return {"registry": registry, "orchestration": OrchestrationResource()}


def evaluate(sensor: str, instance: dg.DagsterInstance, cursor: str | None, **more: Any) -> Any:
    """Evaluate a sensor as the code server does; return its result."""
    repository = defs.get_repository_def()
    with dg.build_sensor_context(
        instance, cursor, repository_def=repository, sensor_name=sensor, **more
    ) as context:
        return repository.get_sensor_def(sensor).evaluate_tick(context)


class Results:
    """What the daemon keeps of a tick's requests for partitions."""

    def __init__(self) -> None:
        import logging

        self.logger = logging.getLogger("quiet")

    def add_dynamic_partitions_request_result(self, _: object) -> None:
        """Forget it."""


def tick(instance: dg.DagsterInstance, cursor: str | None, resources: dict[str, Any]) -> Any:
    """Do what the daemon does in a tick of the registry sensor, but for creating runs."""
    data = evaluate("study_registry_sensor", instance, cursor, resources=resources)
    _handle_dynamic_partitions_requests(data.dynamic_partitions_requests or [], instance, Results())
    return data


def registry_tick(number: int, *server: str) -> dict[str, float]:
    """Measure ticks when all studies are known, and reading the registry alone."""
    resources = registry_of(*server)
    with location_home() as instance:
        known(instance, study_keys(number), 0)
        first = tick(instance, None, resources)
        second = tick(instance, first.cursor, resources)
        steady = cpu_of(lambda: tick(instance, second.cursor, resources))
        reading = cpu_of(lambda: list(resources["registry"].sdk.studies.list()))
    return {"tick": steady, "reading": reading}


def new_studies(number: int, *server: str) -> dict[str, float]:
    """Measure the ticks until all new studies are added."""
    resources, cursor, ticks, cpu = registry_of(*server), None, 0, 0.0
    with location_home() as instance:
        while len(instance.get_dynamic_partitions(STUDIES_NAME)) < number:
            started = time.process_time()
            cursor = tick(instance, cursor, resources).cursor
            cpu += time.process_time() - started
            ticks += 1
    return {"ticks": ticks, "cpu": cpu}


def creating(number: int) -> dict[str, float]:
    """Measure the creation of a run over this many studies, up to its last planned event."""
    keys = study_keys(number)
    with location_home() as instance:
        instance.add_dynamic_partitions(STUDIES_NAME, keys)
        job = defs.resolve_job_def("study_pipelines")
        cpu = cpu_of(lambda: instance.create_run_for_job(job, tags=range_tags(keys[0], keys[-1])))
        with closing(connection_of(instance)) as connection:
            (pairs,) = connection.execute(
                "SELECT count(*) FROM event_logs WHERE dagster_event_type = ?", [PLANNED]
            ).fetchone()
    return {"cpu": cpu, "pairs": pairs}


def automation(number: int) -> dict[str, float]:
    """Measure an hour of the automation sensor after a run that was killed near its end.

    The conditions have a clock that ticks at full ten minutes, and one five minutes later.
    """
    repository = defs.get_repository_def()
    sensor = repository.get_sensor_def("study_automation_sensor")
    every = sensor.minimum_interval_seconds or HALF_MINUTE
    noon = time.time() // 86400 * 86400
    cursor: str | None = None

    def tick_at(minutes: float) -> float:
        nonlocal cursor
        at = datetime_from_timestamp(noon + 60 * minutes)
        with (
            freeze_time(at),
            partition_loading_context(at, CachingDynamicPartitionsLoader(instance)),
        ):
            started = time.process_time()
            cursor = automation_tick(instance, sensor, repository.asset_graph, cursor)
            return time.process_time() - started

    with location_home() as instance:
        known(instance, study_keys(number), NEVER_ENDED)
        tick_at(1)
        costs = {minute: tick_at(minute) for minute in (2, 3, 4, 5.1, 6, 7, 8, 10.1, 11, 12)}
    clocks = costs.pop(5.1) + costs.pop(10.1)
    tick = statistics.median(costs.values())
    return {"tick": tick, "clocks": clocks, "hour": 6 * clocks + (3600 / every - 12) * tick}


def automation_tick(instance: Any, sensor: Any, asset_graph: Any, serialized: str | None) -> str:
    """Evaluate the conditions and store what the daemon stores."""
    import logging

    cursor = asset_daemon_cursor_from_instigator_serialized_cursor(serialized, asset_graph)
    requests, new, evaluations = AutomationTickEvaluationContext(
        evaluation_id=cursor.evaluation_id,
        instance=instance,
        asset_graph=asset_graph,
        cursor=cursor,
        materialize_run_tags={},
        observe_run_tags={},
        auto_observe_asset_keys=set(),
        asset_selection=sensor.asset_selection,
        emit_backfills=True,
        default_condition=None,
        logger=logging.getLogger("quiet"),
    ).evaluate()
    if requests:
        raise SystemExit("automation requested something")
    instance.schedule_storage.add_auto_materialize_asset_evaluations(
        evaluation_id=cursor.evaluation_id + 1,
        asset_evaluations=[each.with_run_ids(set()) for each in evaluations],
    )
    return asset_daemon_cursor_to_instigator_serialized_cursor(new)


def results(number: int) -> dict[str, float]:
    """Measure a refresh of study_results over this many studies whose run never ended them."""
    with location_home() as instance:
        known(instance, study_keys(number), number)
        refresh = defs.resolve_job_def("refresh_study_results")

        def once() -> None:
            if not refresh.execute_in_process(instance=instance, run_config=QUIET).success:
                raise SystemExit("the refresh failed")

        once()
        return {"cpu": cpu_of(once)}


if __name__ == "__main__":
    kind, count, *rest = sys.argv[1:]
    measures = {
        each.__name__: each for each in (registry_tick, new_studies, creating, automation, results)
    }
    print(json.dumps(measures[kind](int(count), *rest)))
