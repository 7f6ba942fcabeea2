"""The command is for the studies and stores that ``definitions.py`` names, as a run is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import orch_assets

_OURS = "_resources = study_resources()"
_THEIRS = """_resources = study_resources(
        StoreResource(uri="{folder}/open"),
        StoreResource(uri="{folder}/closed", restricted=True),
        registry=RegistryResource(kind="demo", demo_studies=3, demo_subjects=3),
        orchestration=OrchestrationResource(whitelist=["CARD-202"]),
    )"""


@pytest.fixture
def command(tmp_path):
    """Run the command of a copy of the package whose resources are given in code."""
    package = tmp_path / "checkout" / "orch_assets"
    shutil.copytree(Path(orch_assets.__file__).parent, package)
    definitions = package / "definitions.py"
    text = definitions.read_text()
    assert _OURS in text
    names = "OrchestrationResource, RegistryResource, StoreResource"
    imported = f"import dagster as dg\nfrom orch_assets.defs.resources import {names}\n"
    text = text.replace("import dagster as dg\n", imported, 1)
    definitions.write_text(text.replace(_OURS, _THEIRS.format(folder=tmp_path)))
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name[:5] != "ORCH_"}

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "orch_assets", *arguments],
            cwd=package.parent,
            env={**environment, "DAGSTER_HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_studies_and_stores_given_in_code_are_those_of_the_command(command, tmp_path):
    """``ORCH_REGISTRY``, the filter and ``ORCH_STORE`` are only their defaults."""
    shown = command("studies")
    assert shown.returncode == 0, shown.stderr
    assert "Registry: demo\nSelected: 1\n  CARD-202\n" in shown.stdout
    ran = command("run")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Studies (1): CARD-202\n" in ran.stdout
    assert ran.stdout.endswith(f"Every study succeeded. Artifacts: {tmp_path}/open.\n")
    assert [path.name for path in (tmp_path / "open" / "sites").glob("*.parquet")] == [
        "CARD-202.parquet"
    ]
    assert (tmp_path / "closed" / "records").is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkout",
        "closed",
        "home",
        "open",
    ]
