"""A backup made in the documented order is whole when it is restored in another folder."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets_tests.support.harness import states
from orch_assets_tests.support.processes import Home

STUDIES = ("--study", "ONC-301")
TABLES = ("sites", "subjects")


def copy_dagster(home: Path, target: Path) -> None:
    """Copy DAGSTER_HOME without the stores; each database as SQLite itself does it."""
    for file in home.rglob("*"):
        inside = file.relative_to(home)
        if (
            inside.parts[0] == "artifacts"
            or not file.is_file()
            or file.name.endswith(("-wal", "-shm"))
        ):
            continue  # fmt: skip
        copy = target / inside
        copy.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix != ".db":
            shutil.copy(file, copy)
            continue
        with closing(sqlite3.connect(file)) as opened, closing(sqlite3.connect(copy)) as saved:
            opened.backup(saved)


def known(folder: Path) -> dict[str, Any]:
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        return {
            "studies": instance.get_dynamic_partitions(STUDIES_NAME),
            "states": {table: states(instance, table) for table in TABLES},
            "runs": sorted((run.run_id, run.status) for run in instance.get_runs()),
        }


def test_a_restored_backup_verifies_and_shows_the_same_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster first, then the stores: a run in between leaves versions that no event names."""
    for name in [each for each in os.environ if each.startswith(("ORCH_", "IMEDNET_"))]:
        monkeypatch.delenv(name)
    home, restored = tmp_path / "home", tmp_path / "restored"
    home.mkdir()
    used = Home(home, {"ORCH_REGISTRY": "demo"})
    tables = [option for table in TABLES for option in ("--pipeline", table)]
    assert used.run_here("run", *STUDIES, *tables).returncode == 0
    shown, before = used.run_here("results").stdout, known(home)
    copy_dagster(home, restored)
    assert used.run_here("run", *STUDIES, "--pipeline", "sites").returncode == 0
    shutil.copytree(home / "artifacts", restored / "artifacts")
    shutil.rmtree(home)
    used.environment |= {"DAGSTER_HOME": str(restored), "HOME": str(restored)}
    assert known(restored) == before
    verified = used.run_here("verify", str(restored / "artifacts"))
    assert (verified.returncode, verified.stderr.count("Error")) == (0, 0)
    assert "no faults" in verified.stdout
    assert "leftover" not in verified.stdout
    assert used.run_here("results").stdout == shown
    again = used.run_here("run", *STUDIES, *tables)
    assert "Every study succeeded." in again.stdout
