#!/usr/bin/env bash
# What a run said about an asset is still shown after the run was deleted: the metadata of the
# asset's newest materialization, and those of checks.
#
# Versions: dagster 1.13.27, Python 3.11, SQLite storage.
#
# Behaviour: `DagsterInstance.delete_run` (and so `dagster run delete` and the UI) removes the run and
# its events. The table `asset_keys` still has the asset's newest materialization as a whole, and
# `asset_check_executions` each evaluation of a check. So `get_latest_materialization_event` returns
# the event of a run that no longer exists, and the UI shows its metadata. Only the next
# materialization, or wiping the asset, replaces the first; nothing public removes the second alone.
#
# Why it matters: a run is deleted because something is in its metadata that must not be there, such
# as a row, a subject's key or a picture. Whoever deletes the run and looks for it finds nothing, and
# believes that it is gone.
#
# Output seen:
#   the run: None
#   its events: 0
#   newest materialization says: {'first row': 'SUBJECT-0042'}
#   SUBJECT-0042 is still in asset_keys
#   SUBJECT-0043 is still in asset_check_executions
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "dagster==1.13.27"

cat >"$folder/check.py" <<'PYTHON'
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import dagster as dg


@dg.asset
def listing():
    return dg.MaterializeResult(metadata={"first row": "SUBJECT-0042"})


@dg.asset_check(asset=listing)
def complete():
    return dg.AssetCheckResult(passed=False, metadata={"lacks": "SUBJECT-0043"})


def tables_with(home, word):
    for path in Path(home).rglob("*.db"):
        with closing(sqlite3.connect(path)) as database:
            names = "SELECT name FROM sqlite_master WHERE type = 'table'"
            for (table,) in database.execute(names).fetchall():
                rows = database.execute(f'SELECT * FROM "{table}"')
                if any(word in str(row) for row in rows):
                    yield table


with tempfile.TemporaryDirectory() as home:
    with dg.DagsterInstance.local_temp(home) as instance:
        done = dg.materialize([listing, complete], instance=instance, raise_on_error=False)
        instance.delete_run(done.run_id)
        print("the run:", instance.get_run_by_id(done.run_id))
        print("its events:", len(instance.all_logs(done.run_id)))
        event = instance.get_latest_materialization_event(listing.key)
        metadata = event.asset_materialization.metadata
        said = {name: value.value for name, value in metadata.items() if "/" not in name}
        print("newest materialization says:", said)
    for word in ("SUBJECT-0042", "SUBJECT-0043"):
        print(word, "is still in", *tables_with(home, word))
PYTHON

cd "$folder"
DAGSTER_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" check.py 2>/dev/null | tee seen.txt
diff seen.txt - <<'EXPECTED'
the run: None
its events: 0
newest materialization says: {'first row': 'SUBJECT-0042'}
SUBJECT-0042 is still in asset_keys
SUBJECT-0043 is still in asset_check_executions
EXPECTED
