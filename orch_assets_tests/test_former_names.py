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
