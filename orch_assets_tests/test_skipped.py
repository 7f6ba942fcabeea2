"""What a reader of ``make test`` learns about tests that did not run."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

TESTS = """
import pytest

@pytest.mark.skipif(True, reason="npm is not here: install it")
@pytest.mark.parametrize("n", range(3))
def test_many(n):
    pass

@pytest.mark.skipif(True, reason="npm is not here: install it")
def test_one():
    pass

def test_inside():
    pytest.skip("chromium is not here: install it")

def test_runs():
    pass
"""


def test_skipped_tests_are_named_at_the_end_by_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "from orch_assets_tests.conftest import pytest_terminal_summary  # noqa: F401\n"
    )
    (tmp_path / "test_some.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "xdist.plugin", "-n", "2", tmp_path],
        cwd=tmp_path,
        # Importing the other plugins takes longer than all the rest.
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.strip("- ") for line in done.stdout.splitlines() if line.strip()]
    assert lines[-6:-1] == [
        "1 skipped: chromium is not here: install it",
        "test_some.py::test_inside",
        "4 skipped: npm is not here: install it",
        "test_some.py::test_many (3 cases)",
        "test_some.py::test_one",
    ]
    assert lines[-1].startswith("1 passed, 5 skipped")
