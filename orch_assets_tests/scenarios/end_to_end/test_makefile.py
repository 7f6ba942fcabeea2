"""What `make` does in a clone: it creates what the README's commands need, and spares accounts."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orch_assets_tests.support.processes import ROOT

_INSTALLED = ("--old-file=.venv/.installed", "--old-file=.venv/.installed-dev")
_SHOW = """#!/bin/sh
echo "folder: $(pwd)"
echo "arguments: $@"
env
"""


@pytest.fixture
def clone(tmp_path):
    """A fresh clone: what is in git's index or new, and nothing that was made."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    for name in listed:
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    return tmp_path


def program(clone: Path, name: str, text: str) -> None:
    """Put a program into the clone's environment."""
    file = clone / ".venv" / "bin" / name
    file.write_text(text)
    file.chmod(0o755)


def make(clone: Path, *targets: str, **settings: str) -> str:
    """Run make as if the environment were installed; return what it printed."""
    keep = {"PATH": os.environ["PATH"], "HOME": str(clone)}
    return subprocess.run(
        ["make", *_INSTALLED, *targets],
        cwd=clone, env={**keep, **settings}, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip


def test_see_first_which_studies_in_a_fresh_clone(clone):
    program(clone, "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    out = make(clone, "studies", ORCH_REGISTRY="demo")
    assert "Registry: demo" in out
    assert "Would be added: 12" in out
    assert "Nothing was changed." in out
    assert (clone / ".dagster" / "account" / "dagster.yaml").exists()


def test_clean_leaves_an_account_and_says_so(clone):
    made = [
        ".dagster/account/artifacts/records/S.parquet",
        ".dagster/account/artifacts/restricted/records/S.parquet",
        ".env",
        ".dagster/demo/artifacts/records/S.parquet",
        ".dagster/aws/dagster.yaml",
        ".pytest_cache/x",
        "orch_assets/__pycache__/x.pyc",
    ]
    for name in made:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text("x")
    out = make(clone, "clean")
    assert [name for name in made if (clone / name).exists()] == made[:3]
    assert not (clone / ".venv").exists()
    assert "Left as it is: .dagster/account\nLeft as it is: .env\n" in out
    assert (clone / "orch_assets" / "cli.py").exists()


def test_the_demos_ui_reads_no_env_file_and_has_the_locations_name(clone):
    """Dagster reads .env of its working folder: the demo's is its own home."""
    (clone / ".env").write_text("IMEDNET_API_KEY=real\nORCH_REGISTRY=imednet\n")
    program(clone, "dagster", _SHOW)
    lines = make(clone, "dev").splitlines()
    home = clone / ".dagster" / "demo"
    assert f"folder: {home}" in lines
    assert not (home / ".env").exists()
    assert f"arguments: dev -w {clone / 'workspace.yaml'}" in lines
    settings = {"ORCH_REGISTRY=demo", "ORCH_AUTOMATION=on"}
    assert {f"DAGSTER_HOME={home}", f"PYTHONPATH={clone}", *settings} <= set(lines)


def test_git_ignores_env_files(clone):
    subprocess.run(["git", "init", "--quiet"], cwd=clone, check=True)
    for name in (".env", "pipelines/.env"):
        subprocess.run(["git", "check-ignore", "--quiet", name], cwd=clone, check=True)
