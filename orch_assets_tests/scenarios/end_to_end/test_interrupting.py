"""Ctrl-C ends the command with 130, SIGTERM with 143.

It says what had ended and how to go on, and that works.
"""

import signal
import subprocess
import time

import dagster as dg
import pytest

from orch_assets.demo import DemoServer
from orch_assets.demo.faults import Fault
from orch_assets_tests.support.harness import in_state, materializations
from orch_assets_tests.support.processes import Home, registry_settings, until

_RUN = ("python", "-m", "orch_assets", "run")
_SLOW = 60.0


@pytest.fixture
def server():
    with DemoServer(studies=2, subjects=1) as running:
        yield running
        running.faults.clear()


def interrupted(home, condition, what, *signs, options=()):
    """Start a run, send signals (Ctrl-C) when a condition holds; return the ended process."""
    with home.start(*_RUN, *options) as process:
        until(condition, 240, what)
        for sign in signs or (signal.SIGINT,):
            process.send_signal(sign)
            time.sleep(0.3)
        out, err = process.communicate(timeout=50)
    return subprocess.CompletedProcess(_RUN, process.returncode, out, err)


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_while_the_registry_is_read_nothing_was_run(server, tmp_path, sign, code):
    server.faults.add(Fault("delay", endpoint="studies", seconds=_SLOW))
    home = Home(tmp_path / "home", registry_settings(server))
    done = interrupted(home, lambda: server.traffic.in_flight, "a request", sign)
    assert done.returncode == code
    assert done.stderr == "Interrupted before any study ran. Start again with `orch-assets run`.\n"
    with home.instance() as real:
        assert real.get_runs() == []


@pytest.mark.parametrize(
    ("signs", "code"),
    [
        ([signal.SIGINT], 130),
        ([signal.SIGTERM], 143),
        ([signal.SIGINT, signal.SIGINT], 130),
        ([signal.SIGTERM, signal.SIGINT], 143),
    ],
)
def test_while_pipelines_run_what_ended_stays_and_the_command_goes_on_with_the_rest(
    server, tmp_path, signs, code
):
    """Somebody who presses Ctrl-C again, for want of patience, loses nothing by it."""
    first, second = server.registry.study_keys()
    server.faults.add(Fault("delay", endpoint="sites", study_key=second, seconds=_SLOW))
    home = Home(tmp_path / "home", registry_settings(server))
    with home.instance() as real:

        def first_ended():
            return in_state(real, "visits", "MATERIALIZED") == [first]

        done = interrupted(home, first_ended, "the first study's results", *signs)
    assert done.returncode == code, done.stderr
    matrix = done.stdout.partition("✗ is a failure.")[2]
    assert f"\n{first} " in matrix.replace("\n ", "\n"), done.stdout
    assert "of 34 results. Completed results are materialized" in done.stderr
    assert "`orch-assets run --failed` runs the rest." in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    server.faults.clear()
    again = home.run_here("run", "--failed")
    assert again.returncode == 0, again.stdout + again.stderr
    with home.instance() as real:
        assert in_state(real, "sites", "MATERIALIZED") == [first, second]
        assert materializations(real, "variables")[first][-1]["carried_from"]
        stopped = [run for run in real.get_runs() if run.status != dg.DagsterRunStatus.SUCCESS]
        assert [run.tags.get("dagster/will_retry", "false") for run in stopped] == ["false"]


def test_what_had_not_begun_is_named_with_the_command_that_runs_it(server, tmp_path):
    """Studies that others stand between are runs of their own, one after the other.

    The command that runs the rest names the same pipelines.
    """
    first, second = server.registry.study_keys()
    server.faults.add(Fault("delay", endpoint="sites", study_key=first, seconds=_SLOW))
    home = Home(tmp_path / "home", registry_settings(server))
    with home.instance() as real:
        real.add_dynamic_partitions("studies", [first, "BETWEEN", second])

    def at_sites():
        return any(entry.endpoint == "sites" for entry in server.traffic.log)

    pipelines = ("--pipeline", "forms", "--pipeline", "sites")
    done = interrupted(home, at_sites, "a request for sites", options=pipelines)
    assert done.returncode == 130, done.stderr
    rest = f"--study {second} --pipeline forms --pipeline sites"
    assert f"Not started yet: `orch-assets run {rest}`." in done.stderr
    with home.instance() as real:
        assert in_state(real, "forms", "MATERIALIZED") == [first]
    assert home.run_here("run", "--study", second).returncode == 0
