#!/usr/bin/env bash
# What Dagster plans for a partitioned check grows with the square of the number of partitions.
#
# Versions: dagster 1.13.27 (SQLite storage), Python 3.11.
#
# Behaviour: when a run over many partitions is created, Dagster inserts one row for each partition of
# each of its checks into asset_check_executions. Each of these rows holds the whole planned event, and
# that event lists the keys of all partitions of the run. So each row grows with the number of
# partitions, and all rows together with its square, before anything has run. The planned event of a
# materialization has one partition, and stays small.
#
# Why it matters: a location with a partition for each study, and a check of each table that it is
# complete, creates these rows for every run over all studies. With 5,000 studies and keys of 12
# characters, one check of one run is about 400 MB; the process that creates the run, often the daemon,
# writes them while all other sensors wait.
#
# Output seen:
#   50 partitions, KB each: materialization 0.8, check 1.6
#   100 partitions, KB each: materialization 0.8, check 2.4
#   200 partitions, KB each: materialization 0.8, check 4.0
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "dagster==1.13.27"

cat >"$folder/check.py" <<'PYTHON'
import sqlite3
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg

warnings.simplefilter("ignore")
studies = dg.DynamicPartitionsDefinition(name="studies")
key = dg.AssetKey("records")


@dg.multi_asset(
    specs=[dg.AssetSpec(key, partitions_def=studies)],
    check_specs=[dg.AssetCheckSpec("complete", asset=key, partitions_def=studies)],
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def records():
    yield dg.MaterializeResult()


job = dg.Definitions(assets=[records]).resolve_implicit_global_asset_job_def()


def planned(number):
    """Return the bytes that a run over so many partitions plans for materializations and check."""
    keys = [f"STUDY-{each:06}" for each in range(number)]
    with TemporaryDirectory() as home, dg.DagsterInstance.local_temp(home) as instance:
        instance.add_dynamic_partitions("studies", keys)
        tags = {
            "dagster/asset_partition_range_start": keys[0],
            "dagster/asset_partition_range_end": keys[-1],
        }
        instance.create_run_for_job(job, tags=tags)
        (index,) = Path(home).rglob("index.db")
        with sqlite3.connect(index) as database:
            (materializations,) = database.execute(
                "select sum(length(event)) from event_logs"
                " where dagster_event_type = 'ASSET_MATERIALIZATION_PLANNED'"
            ).fetchone()
            (check,) = database.execute(
                "select sum(length(evaluation_event)) from asset_check_executions"
            ).fetchone()
    return materializations, check


for number in (50, 100, 200):
    kilobytes = [each / number / 1000 for each in planned(number)]
    print("{} partitions, KB each: materialization {:.1f}, check {:.1f}".format(number, *kilobytes))
PYTHON

cd "$folder"
"$folder/venv/bin/python" check.py | tee seen.txt
diff seen.txt - <<'EXPECTED'
50 partitions, KB each: materialization 0.8, check 1.6
100 partitions, KB each: materialization 0.8, check 2.4
200 partitions, KB each: materialization 0.8, check 4.0
EXPECTED
