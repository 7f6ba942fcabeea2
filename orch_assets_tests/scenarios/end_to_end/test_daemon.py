"""A real daemon with the real code location: it finds the studies, runs them, shows the results."""

import dagster as dg
import psutil
import pytest

from orch_assets import LocalPipelineStore
from orch_assets.defs.partitions import STUDIES_NAME, range_tags
from orch_assets.defs.study_results import RESULTS_KEY
from orch_assets.demo import DemoServer
from orch_assets_tests.scenarios.end_to_end import impatient_location
from orch_assets_tests.support.harness import in_state, materializations
from orch_assets_tests.support.processes import Home, registry_settings, until


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    """A registry of four studies, one of them forbidden, after a daemon looked at it."""
    with DemoServer(studies=4, subjects=1) as server:
        server.registry.forbid_study(server.registry.study_keys()[1])
        settings = {**registry_settings(server), "ORCH_AUTOMATION": "on"}
        home = Home(tmp_path_factory.mktemp("daemon"), settings)
        log = home.folder / "daemon.log"
        with (
            home.instance() as real,
            home.start("dagster-daemon", "run", "-m", impatient_location.__name__, log=log) as run,
        ):
            until(lambda: results_are_in(real), 150, f"study_results; see {log}")
            started = [run, *psutil.Process(run.pid).children(recursive=True)]
        yield server.registry.study_keys(), home, started


def results_are_in(real):
    return real.get_latest_materialization_event(RESULTS_KEY) is not None


def test_the_sensor_adds_the_studies_and_launches_one_run(account):
    studies, home, _ = account
    with home.instance() as real:
        assert list(real.get_dynamic_partitions(STUDIES_NAME)) == studies
        (run,) = [run for run in real.get_runs() if run.job_name == "study_pipelines"]
        assert run.tags["dagster/sensor_name"] == "study_registry_sensor"
        assert range_tags(studies[0], studies[-1]).items() <= run.tags.items()
        assert run.status == dg.DagsterRunStatus.FAILURE
        assert in_state(real, "forms", "FAILED") == [studies[1]]
        assert in_state(real, "forms", "MATERIALIZED") == [studies[0], *studies[2:]]


def test_the_results_follow_by_themselves(account):
    studies, home, _ = account
    with home.instance() as real:
        (event,) = materializations(real, "study_results")[None]
        refresh = real.get_run_by_id(event["run"])
        assert refresh.tags["dagster/sensor_name"] == "study_results_sensor"
    assert (event["studies"], event["failed_studies"]) == (4, 1)
    assert f"| {studies[1]} | ✗" in event["matrix"]
    table = LocalPipelineStore(home.folder / "artifacts").download("study_results")
    assert set(table[table["status"] == "FAILED"]["study_key"]) == {studies[1]}


def test_nothing_keeps_running_when_the_daemon_is_stopped(account):
    """The daemon takes its code server and its runs along."""
    _, _, started = account
    left = [process for process in started[1:] if process.is_running()]
    _, alive = psutil.wait_procs(left, timeout=10)
    assert alive == []
