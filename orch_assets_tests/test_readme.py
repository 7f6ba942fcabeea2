"""The README's code runs as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(
    r"^```(\w+)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
)
PYTHON = [code for language, code in BLOCKS if language == "python"]
SHELL = [code for language, code in BLOCKS if language == "sh"]


@pytest.mark.parametrize("code", PYTHON)
def test_python_block(code, tmp_path):
    """Each Python block runs in a fresh process, in an empty folder."""
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )


def test_the_pipeline_of_the_readme_is_one():
    """The example counts what it says, over a table of subjects."""
    scope = {}
    exec(PYTHON[0], scope)  # the README's own code

    class Logger:
        def info(self, *args):
            pass

    subjects = pd.DataFrame(
        {
            "site_name": ["Basel", "Basel", "Lyon"],
            "subject_status": ["Enrolled", "Enrolled", "Screened"],
        }
    )
    table = scope["enrolled_by_site"]("S", None, Logger(), subjects)
    assert table.to_dict("records") == [{"site_name": "Basel", "subjects": 2}]


def test_the_commands_of_the_readme_run(tmp_path):
    """The command-line block runs as it stands, in a folder with an empty DAGSTER_HOME."""
    (block,) = [code for code in SHELL if "dagster asset materialize" in code]
    alias = "alias dagster=.venv/bin/dagster"
    assert alias in block
    script = block.replace(alias, f'dagster() {{ {sys.executable} -m dagster "$@"; }}')
    (tmp_path / ".dagster" / "demo").mkdir(parents=True)
    subprocess.run(
        ["bash", "-ec", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )
    artifacts = tmp_path / ".dagster" / "demo" / "artifacts"
    assert (artifacts / "sites" / "DERM-104.parquet").exists()
    assert (artifacts / "study_results.parquet").exists()


def test_every_make_target_of_the_readme_exists():
    """What the README tells to make, the Makefile makes."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"(?:^|`)make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert targets >= {"demo", "test", "dev", "run", "bench", "check"}
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
