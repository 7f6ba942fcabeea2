"""What a run's planned events cost, and what an event log storage of one's own would save of it.

Dagster plans each result when it creates a run, and stores these events one by one. The storage
here stores them together. It is measured and not shipped: ``docs/explanation/cost-of-a-result.md``
says why.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any, Self

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable

from benchmarks.locations import graph_location
from benchmarks.measuring import median, report_of
from orch_assets.defs.partitions import range_tags

STUDIES = [f"S-{number:03}" for number in range(200)]
PIPELINES = 13
REPETITIONS = 3


class BatchingStorage(SqliteEventLogStorage):
    """SQLite, with a batch of planned events in one transaction of each database."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> Self:
        """Return the storage."""
        return cls(inst_data=inst_data, **config_value)

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Store planned materializations together, and all else one by one."""
        planned = [each for each in events if each.dagster_event.is_asset_materialization_planned]
        rows = [self._event_to_row(each) for each in planned]
        if planned:
            with self.run_connection(events[0].run_id) as connection:
                connection.execute(SqlEventLogStorageTable.insert(), rows)
            with self.index_transaction() as connection:
                connection.execute(SqlEventLogStorageTable.insert(), rows)
                for event in {each.dagster_event.asset_key: each for each in planned}.values():
                    self._store_asset_event(connection, event, 0)
        for event in events:
            if not event.dagster_event.is_asset_materialization_planned:
                self.store_event(event)


def main() -> bool:
    """Print the figures."""
    print(f"creating a run of {len(STUDIES)} studies × {PIPELINES} pipelines, each result")
    for kind in ("dagster", "batching"):
        figures = [report_of("benchmarks.planned_events", kind) for _ in range(REPETITIONS)]
        milliseconds = median([each["cpu"] for each in figures])
        print(f"  {kind}: {milliseconds:.2f} CPU ms, {figures[0]['statements']:.2f} statements")
    return True


def measure(kind: str) -> None:
    """Create a run once; print its CPU milliseconds and SQL statements for each result."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    statements: list[str] = []
    event.listen(Engine, "before_cursor_execute", lambda *all_: statements.append(all_[2]))
    overrides: dict[str, Any] | None = None
    job = graph_location(PIPELINES).resolve_job_def("everything")
    with tempfile.TemporaryDirectory() as home:
        if kind == "batching":
            os.environ["DAGSTER_EVENT_BATCH_SIZE"] = "1000"
            storage = {
                "module": "benchmarks.planned_events",
                "class": "BatchingStorage",
                "config": {"base_dir": f"{home}/events"},
            }
            overrides = {"event_log_storage": storage}
        with dg.instance_for_test(overrides, temp_dir=home) as instance:
            instance.add_dynamic_partitions("studies", STUDIES)
            statements.clear()
            started = time.process_time()
            instance.create_run_for_job(job, tags=range_tags(STUDIES[0], STUDIES[-1]))
            cpu = time.process_time() - started
            count = len(statements)
    results = len(STUDIES) * PIPELINES
    print(json.dumps({"cpu": cpu * 1000 / results, "statements": count / results}))


if __name__ == "__main__":
    measure(sys.argv[1])
