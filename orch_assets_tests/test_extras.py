"""Without Dagster and the clouds the core works, and an error names the extra that is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import orch_assets
from orch_assets.errors import MissingExtraError
from orch_assets.extras import needing

# None in place of a module is how Python is told that there is none.
RUN_WITHOUT = """
import runpy, sys
from importlib.metadata import packages_distributions
absent = {name for name in packages_distributions() if name.startswith("dagster")}
sys.modules.update(dict.fromkeys([*absent, "boto3", "botocore", "s3transfer", "google"]))
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def test_the_core_works_where_no_extra_can_be_imported() -> None:
    """The same file that CI runs on the wheel with its core dependencies alone."""
    root = Path(orch_assets.__file__).parents[1]
    script = Path(__file__).with_name("core_only.py")
    done = subprocess.run(
        [sys.executable, "-c", RUN_WITHOUT, str(script)],
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "core: all is well"


@pytest.mark.parametrize(
    ("extra", "module"),
    [
        ("aws", "s3transfer.x"),
        ("charts", "matplotlib.figure"),
        ("cluster", "psycopg2.extensions"),
        ("gcp", "google.auth"),
        ("dagster", "dagster"),
    ],
)
def test_a_module_of_an_extra_is_told_as_the_extra(extra: str, module: str) -> None:
    expected = pytest.raises(MissingExtraError, match=rf"orch-assets\[{extra}\]")
    with expected as caught, needing(extra):  # type: ignore[arg-type]
        raise ModuleNotFoundError("as Python has it", name=module)
    assert isinstance(caught.value, ImportError)
    assert caught.value.extra == extra


def test_any_other_missing_module_is_told_as_it_is() -> None:
    """A module that no extra brings is nobody's extra: what is broken must be seen."""
    with pytest.raises(ModuleNotFoundError, match="urllib3") as caught, needing("aws"):
        raise ModuleNotFoundError("No module named 'urllib3'", name="urllib3")
    assert not isinstance(caught.value, MissingExtraError)
