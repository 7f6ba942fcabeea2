"""A run whose process was killed is named, and closed by the command; one that goes on never is."""

import signal

import dagster as dg
import pytest

from orch_assets.demo import DemoServer
from orch_assets.demo.faults import Fault
from orch_assets_tests.support.harness import in_state
from orch_assets_tests.support.processes import Home, registry_settings, until

_COMMAND = ("python", "-m", "orch_assets")
_SLOW = 60.0
# Made, and not begun: the process dies where it would execute the run.
_KILLED_BEFORE = """
import os, signal
from orch_assets import cli
from orch_assets.defs.runs import command_runs
command_runs.execute_run_iterator = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
cli.main(["run"])
"""

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def server():
    with DemoServer(studies=2, subjects=1) as running:
        yield running
        running.faults.clear()


@pytest.fixture
def home(server, tmp_path):
    return Home(tmp_path / "home", registry_settings(server))


def status_of(home, run_id):
    with home.instance() as real:
        return real.get_run_by_id(run_id).status


def only_run(home):
    with home.instance() as real:
        (run,) = real.get_runs()
        return run


def test_killed_while_it_runs(home, server):
    """While it runs it can't be closed; what had succeeded stays, and the rest is run again."""
    first, second = server.registry.study_keys()
    server.faults.add(Fault("delay", endpoint="sites", study_key=second, seconds=_SLOW))

    def first_ended():
        return in_state(real, "visits", "MATERIALIZED") == [first]

    with home.instance() as real, home.start(*_COMMAND, "run") as process:
        until(first_ended, 240, "the first study's results")
        run = only_run(home)
        shown = home.run_here("runs")
        assert shown.stdout.startswith(f"In progress: 1\n  {run.run_id}: study_pipelines, STARTED")
        assert f"by process {process.pid} on " in shown.stdout
        assert home.run_here("runs", "close", "--yes").returncode == 0
        refused = home.run_here("runs", "close", run.run_id, "--yes")
        assert (refused.returncode, "is in progress" in refused.stderr) == (2, True)
        assert status_of(home, run.run_id) == dg.DagsterRunStatus.STARTED
        process.send_signal(signal.SIGKILL)
        process.wait()
    server.faults.clear()
    shown = home.run_here("runs")
    line = f"{run.run_id}: study_pipelines, STARTED"
    assert shown.stdout.startswith(f"Not executed by any process: 1\n  {line}")
    assert f"studies {first} to {second}" in shown.stdout
    retired = home.run_here("studies", "retire", first, "--yes")
    assert (retired.returncode, "`orch-assets runs` shows" in retired.stderr) == (2, True)
    closed = home.run_here("runs", "close", "--yes")
    assert closed.returncode == 0, closed.stderr
    assert status_of(home, run.run_id) == dg.DagsterRunStatus.FAILURE
    with home.instance() as real:
        assert in_state(real, "visits", "MATERIALIZED") == [first]
        assert in_state(real, "visits", "FAILED") == [second]
    again = home.run_here("run", "--failed")
    assert again.returncode == 0, again.stdout + again.stderr
    with home.instance() as real:
        assert in_state(real, "sites", "MATERIALIZED") == [first, second]


def test_killed_before_it_began(home, server):
    """The next run names it; nobody is asked twice, and a no closes nothing."""
    assert home.run("python", "-c", _KILLED_BEFORE).returncode == -signal.SIGKILL
    run = only_run(home)
    assert run.status == dg.DagsterRunStatus.NOT_STARTED
    unanswered = home.run(*_COMMAND, "runs", "close")
    assert unanswered.returncode == 1
    assert "--yes closes without asking" in unanswered.stderr
    assert status_of(home, run.run_id) == dg.DagsterRunStatus.NOT_STARTED
    study = server.registry.study_keys()[0]
    next_run = home.run_here("run", "--study", study)
    assert next_run.returncode == 0, next_run.stderr
    assert f"No process executes {run.run_id} any more: `orch-assets runs`" in next_run.stderr
    assert home.run_here("runs", "close", "--yes").returncode == 0
    assert status_of(home, run.run_id) == dg.DagsterRunStatus.FAILURE
    assert home.run_here("runs").stdout == "Every run is finished.\n"
    assert home.run_here("runs", "close", "--yes").returncode == 0
    unknown = home.run_here("runs", "close", "no-such-run")
    assert (unknown.returncode, "Nothing was closed" in unknown.stderr) == (2, True)
    assert home.run_here("studies", "retire", study, "--yes").returncode == 0
