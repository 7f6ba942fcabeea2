"""Names of the release before: they warn, and are what they were."""

import importlib
import subprocess
import sys

import pytest

FORMER = {
    "orch_assets.registry": "orch_assets.imednet",
    "orch_assets.registry.demo": "orch_assets.demo",
}


@pytest.mark.parametrize(("former", "present"), FORMER.items())
@pytest.mark.filterwarnings("ignore:orch_assets.registry:DeprecationWarning")
def test_a_former_package_gives_the_same_objects(former, present):
    package = importlib.import_module(present)
    assert all(
        getattr(importlib.import_module(former), name) is getattr(package, name)
        for name in package.__all__
    )


@pytest.mark.parametrize(("former", "present"), FORMER.items())
def test_a_former_package_says_what_it_is_called_now(former, present):
    code = f"import {former}"
    done = subprocess.run(
        [sys.executable, "-W", "default::DeprecationWarning", "-c", code],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"{former} is now {present}" in done.stderr


@pytest.mark.parametrize(
    ("module", "former", "present"),
    [
        ("orch_assets.errors", "StudyGivenUpError", "StudyCancelledError"),
        ("orch_assets.errors", "TableMovedError", "TableChangedError"),
        ("orch_assets.step_functions", "Follower", "ExecutionPoller"),
        ("orch_assets.step_functions", "When", "ChoiceRule"),
        ("orch_assets.stores", "Fault", "Problem"),
    ],
)
def test_a_former_class_name_warns_and_is_the_same_class(module, former, present):
    loaded = importlib.import_module(module)
    with pytest.warns(DeprecationWarning, match=f"{former} is now {module}.{present}"):
        found = getattr(loaded, former)
    assert found is getattr(loaded, present)
    assert former not in dir(loaded)
