"""What the two sensors of alerts cost at 500 studies and 20 tables: statements and CPU seconds.

``python -m benchmarks.alert_ticks [STUDIES] [DAYS]``. The event log holds the copied events of
one real run, for each table, study and day. There is nothing earlier to compare with: the physical
limit is one statement for each table, which says when each study last succeeded.
"""

import os
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

os.environ |= {"ORCH_REGISTRY": "demo", "DAGSTER_DISABLE_TELEMETRY": "1"}
os.environ |= {"ORCH_STALE_AFTER": "36h", "ORCH_ALERT_WEBHOOK": "http://127.0.0.1:9/nobody"}

import dagster as dg

from benchmarks.thousands import connection_of, cpu_of, study_keys
from orch_assets import study_pipeline
from orch_assets.defs.alerts.alerts_tick import tell_changes
from orch_assets.defs.alerts.freshness_tick import note_changes
from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets_tests.support.harness import definitions, execute
from orch_assets_tests.support.statements import counted_statements

TABLES = [f"table_{number:02}" for number in range(20)]
KEYS = frozenset(map(dg.AssetKey, TABLES))
DAY = 86_400.0


@study_pipeline
def table_00(study_key: str, sdk: Any, study_logger: Any) -> dict[str, int]:  # noqa: ARG001
    """Return the number of its rows."""
    return {"rows": 1}


def fill(instance: dg.DagsterInstance, studies: list[str], days: int) -> None:
    """Copy a study's success to all studies, tables and days, the oldest day first."""
    columns = "run_id, dagster_event_type, step_key"
    with closing(connection_of(instance)) as connection, connection:
        connection.execute("CREATE TEMP TABLE new (study TEXT, tab TEXT)")
        pairs = [(study, table) for study in studies for table in TABLES]
        connection.executemany("INSERT INTO new VALUES (?, ?)", pairs)
        for day in range(days, 0, -1):
            moment = datetime.fromtimestamp(time.time() - day * DAY + 3600, tz=UTC)
            connection.execute(
                f"INSERT INTO event_logs ({columns}, timestamp, asset_key, event, partition) "
                f"SELECT {columns}, ?, '[\"' || tab || '\"]', replace(event, 'TEMPLATE', study), "
                "study FROM event_logs, new WHERE partition = 'TEMPLATE' "
                "AND dagster_event_type = 'ASSET_MATERIALIZATION'",
                [moment.replace(tzinfo=None).isoformat(" ")],
            )


def show(what: str, work: Any) -> tuple[Any, int]:
    """Run some work, print what it took; return its result and the number of statements."""
    results: list[Any] = []
    with counted_statements() as statements:
        cpu = cpu_of(lambda: results.append(work()))
    selects = sum(each.startswith("SELECT") for each in statements)
    print(f"{what}: {selects} statements, {cpu:.2f} s of CPU")
    return results[0], selects


def main(number: int = 500, days: int = 30) -> bool:
    """Print the cost of ticks; return whether they take few statements."""
    with tempfile.TemporaryDirectory() as folder, dg.instance_for_test(temp_dir=folder) as real:
        real.add_dynamic_partitions(STUDIES_NAME, ["TEMPLATE"])
        execute(definitions(Path(folder), table_00), real, "TEMPLATE")
        studies = study_keys(number)
        fill(real, studies, days)
        real.delete_dynamic_partition(STUDIES_NAME, "TEMPLATE")
        real.add_dynamic_partitions(STUDIES_NAME, studies)
        print(f"{number} studies, {len(TABLES)} tables, {days} days")
        now = datetime.now(UTC)
        fresh, evaluated = show(
            "freshness, all fresh", lambda: note_changes(real, TABLES, None, now)
        )
        later = now + timedelta(hours=40)
        stale, _ = show(
            "freshness, all become stale", lambda: note_changes(real, TABLES, fresh.cursor, later)
        )
        print(f"  observations: {len(stale.asset_events)}, cursor: {len(stale.cursor):,} bytes")
        first, _ = show("alerts, first tick", lambda: tell_changes(real, KEYS, None))
        _, quiet = show("alerts, no news", lambda: tell_changes(real, KEYS, first.cursor))
        # Two statements for each table, and as many of Dagster's own, which ask whether the asset
        # was wiped.
        return evaluated <= 4 * len(TABLES) + 5 and quiet <= 5


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
