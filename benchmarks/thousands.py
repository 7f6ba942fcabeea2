"""What one daemon costs for thousands of studies. ``sensor_tick`` runs this in two trees.

``python -P benchmarks/thousands.py WHAT``, with the tree to measure as working folder and on
``PYTHONPATH``, prints CPU seconds as a JSON object. The rows of the event log are those of one real
run, copied for the other studies.
"""

import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
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
NEVER_ENDED = 2000
HALF_MINUTE = 30


def cpu_of(work: Callable[[], Any]) -> float:
    """Return the CPU seconds of a call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def study_keys(number: int) -> list[str]:
    """Return the keys of the simulator's added studies."""
    return [f"S-{each:05}" for each in range(number)]


@contextmanager
def location_home() -> Iterator[dg.DagsterInstance]:
    """Give an instance with the artifacts of the location in its folder."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"ORCH_STORE": f"{folder}/artifacts", "DAGSTER_HOME": folder}
        with dg.instance_for_test(temp_dir=folder) as instance:
            yield instance


def known(instance: dg.DagsterInstance, keys: Sequence[str], kinds: Sequence[str]) -> None:
    """Make studies look as if one run had been over them, by copies of the rows of one study."""
    (template,) = [
        each.study_key
        for each in RegistryResource(
            kind="demo", demo_studies=1, demo_subjects=1
        ).sdk.studies.list()
    ]
    instance.add_dynamic_partitions(STUDIES_NAME, [template])
    job = defs.resolve_job_def("study_pipelines")
    resources = {"registry": RegistryResource(kind="demo", demo_studies=1, demo_subjects=1)}
    job.execute_in_process(
        instance=instance,
        tags={"dagster/partition": template},
        run_config=QUIET,
        resources=resources,
    )
    copy_rows(instance, template, keys, kinds)
    instance.add_dynamic_partitions(STUDIES_NAME, list(keys))
    instance.delete_dynamic_partition(STUDIES_NAME, template)


def copy_rows(
    instance: dg.DagsterInstance, template: str, keys: Sequence[str], kinds: Sequence[str]
) -> None:
    """Copy the asset events of a study, planned ones first."""
    database = Path(instance.event_log_storage.path_for_shard("index"))
    columns = "run_id, dagster_event_type, timestamp, step_key, asset_key"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TEMP TABLE new (key TEXT)")
        connection.executemany("INSERT INTO new VALUES (?)", [(key,) for key in keys])
        for kind in kinds:
            connection.execute(
                f"INSERT INTO event_logs ({columns}, event, partition) "
                f"SELECT {columns}, replace(event, ?, new.key), new.key FROM event_logs, new "
                "WHERE partition = ? AND dagster_event_type = ? ORDER BY event_logs.id",
                [template, template, kind],
            )


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
        known(instance, study_keys(number), [PLANNED])
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
        with closing(
            sqlite3.connect(instance.event_log_storage.path_for_shard("index"))
        ) as connection:
            (pairs,) = connection.execute(
                "SELECT count(*) FROM event_logs WHERE dagster_event_type = ?", [PLANNED]
            ).fetchone()
    return {"cpu": cpu, "pairs": pairs}


def automation(number: int) -> dict[str, float]:
    """Measure an hour of the automation sensor when nothing is missing."""
    sensor = defs.get_repository_def().get_sensor_def("study_automation_sensor")
    every = sensor.minimum_interval_seconds or HALF_MINUTE
    asset_graph = defs.get_repository_def().asset_graph
    cursor, costs, now = None, [], time.time()
    with location_home() as instance:
        known(instance, study_keys(number), [PLANNED, "ASSET_MATERIALIZATION"])
        for number_of_tick in range(4):
            started = time.process_time()
            at = datetime_from_timestamp(now + every * number_of_tick)
            with (
                freeze_time(at),
                partition_loading_context(at, CachingDynamicPartitionsLoader(instance)),
            ):
                cursor = automation_tick(instance, sensor, asset_graph, cursor)
            costs.append(time.process_time() - started)
    return {"first": costs[0], "tick": min(costs[1:]), "hour": min(costs[1:]) * 3600 / every}


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
        known(instance, study_keys(number), [PLANNED])
        for run in instance.get_runs():
            instance.report_run_failed(run)
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
