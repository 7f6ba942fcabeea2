"""A real daemon with the real code location: it finds the studies, runs them, shows the results."""

import time

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


def has_ticked(real, sensor):
    states = [each for each in real.all_instigator_state() if each.instigator_name == sensor]
    return any(each.instigator_data.last_tick_timestamp for each in states)


def test_a_daemon_asks_an_account_nothing_before_it_is_switched_on(tmp_path):
    """Its sensor of the results ticks, so it would have ticked the others."""
    with DemoServer(studies=2, subjects=1) as server:
        home = Home(tmp_path, registry_settings(server))
        log = home.folder / "daemon.log"
        command = ("dagster-daemon", "run", "-m", impatient_location.__name__)
        with home.instance() as real, home.start(*command, log=log):
            real.add_dynamic_partitions(STUDIES_NAME, ["ONC-301"])
            until(lambda: has_ticked(real, "study_results_sensor"), 90, f"a tick; see {log}")
            time.sleep(3)  # the sensors tick each second
            assert not has_ticked(real, "study_registry_sensor")
            assert not has_ticked(real, "study_automation_sensor")
            assert real.get_runs() == []
        assert server.traffic.log == []


def test_nothing_keeps_running_when_the_daemon_is_stopped(account):
    """The daemon takes its code server and its runs along."""
    _, _, started = account
    left = [process for process in started[1:] if process.is_running()]
    _, alive = psutil.wait_procs(left, timeout=10)
    assert alive == []
