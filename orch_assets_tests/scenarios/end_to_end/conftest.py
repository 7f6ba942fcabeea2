import os

import pytest

from orch_assets.demo import DemoServer
from orch_assets_tests.scenarios.end_to_end.account import Account
from orch_assets_tests.support.browser import CHROMIUM
from orch_assets_tests.support.processes import Home, registry_settings

MAIN_JOB = ("python", "-m", "orch_assets", "run")


@pytest.fixture(scope="session")
def chromium():
    """Without a browser the tests are skipped, on CI they fail; before any run is made for them."""
    if CHROMIUM is None:
        reason = "chromium is not here: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """A DAGSTER_HOME after one run of the main job on the simulator, and that run."""
    home = Home(tmp_path_factory.mktemp("demo"), {"ORCH_REGISTRY": "demo"})
    return home, home.run(*MAIN_JOB, timeout=240)


@pytest.fixture(scope="session")
def failed_run(tmp_path_factory):
    """Three studies, a DAGSTER_HOME after a run of the main job, and that run.

    The registry forbids the second study.
    """
    with DemoServer(studies=3, subjects=2) as server:
        studies = server.registry.study_keys()
        server.registry.forbid_study(studies[1])
        home = Home(tmp_path_factory.mktemp("failed"), registry_settings(server))
        done = home.run(*MAIN_JOB)
        assert done.returncode == 1, done.stderr
        return studies, home, done


@pytest.fixture
def account(tmp_path, monkeypatch, capsys):
    """Three studies, and the command on them."""
    with DemoServer(studies=3, subjects=1) as server:
        yield Account(server, tmp_path, monkeypatch, capsys)
