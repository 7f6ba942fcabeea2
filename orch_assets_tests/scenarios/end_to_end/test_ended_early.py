"""Runs that end before their time: a person's end is CANCELED, the host's is run again once."""

import json
import os
import re
import signal
import time
import urllib.request

import dagster as dg
import pytest

from orch_assets.defs.partitions import STUDIES_NAME, range_tags
from orch_assets_tests.support.harness import in_state
from orch_assets_tests.support.processes import ROOT, Home, until

pytestmark = pytest.mark.timeout(600)  # a daemon and a webserver start and stop

LOCATION = "orch_assets_tests.scenarios.end_to_end.waiting_location"
TAGS = range_tags("QUICK", "SLOW")
SILENT = """
run_launcher:
  module: orch_assets_tests.scenarios.end_to_end.silent_launcher
  class: SilentRunLauncher
run_coordinator: {module: orch_assets.defs.run_coordinator, class: CancellingRunCoordinator}
"""
RETRY_SECONDS = 20  # the daemon looks for runs to retry every five
LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) { __typename }
}
"""
TERMINATE = """
mutation ($run: String!) {
  terminateRuns(runIds: [$run]) { ... on TerminateRunsResult {
    terminateRunResults { __typename } } }
}
"""


@pytest.fixture
def home(tmp_path):
    (tmp_path / "calls").mkdir()
    home = Home(tmp_path / "home", {"WAITING_FOLDER": str(tmp_path / "calls")})
    with home.instance() as real:
        real.add_dynamic_partitions(STUDIES_NAME, ["QUICK", "SLOW"])
    return home


def calls(home, study_key):
    return len(list((home.folder.parent / "calls").glob(f"{study_key}.*")))


def half_done(real, home, times=1):
    """Whether QUICK is materialized and SLOW waits, for the so-manieth time."""
    return calls(home, "SLOW") == times and in_state(real, "waiting", "MATERIALIZED") == ["QUICK"]


def newest(real):
    return real.get_runs(limit=1)[0]


def asked(url, query, **variables):
    """Return the UI's answer to a query, as text."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/graphql", body, headers)) as answer:
        return answer.read().decode()


# --- in the command's own process ---


@pytest.mark.parametrize(
    ("sign", "status"),
    [(signal.SIGINT, dg.DagsterRunStatus.CANCELED), (signal.SIGTERM, dg.DagsterRunStatus.FAILURE)],
)
@pytest.mark.parametrize("command", ["asset materialize", "job execute"])
def test_ctrl_c_cancels_a_commands_run_and_sigterm_fails_it(home, command, sign, status):
    """The person at the keyboard cancels; a SIGTERM is the host's."""
    log = home.folder / "run.log"
    what = {
        "asset materialize": ("--select", "waiting", "--partition-range", "QUICK...SLOW"),
        "job execute": ("-j", "everything", "--tags", json.dumps(TAGS)),
    }[command]
    with (
        home.instance() as real,
        home.start("dagster", *command.split(), "-m", LOCATION, *what, log=log) as process,
    ):
        until(lambda: half_done(real, home), 90, f"the first study; see {log}")
        process.send_signal(sign)
        process.wait(60)
        (run,) = real.get_runs()
        assert run.status == status
        assert in_state(real, "waiting", "MATERIALIZED") == ["QUICK"]
        kept = dg.DagsterRunStatus.CANCELED
        assert in_state(real, "waiting", None) == (["SLOW"] if status == kept else [])


# --- launched, with a daemon that retries ---


@pytest.fixture(params=["default"])
def service(request, home):
    """A daemon and a webserver over the location, and a run that is half done."""
    if request.param == "silent":
        with (home.folder / "dagster.yaml").open("a") as settings:
            settings.write(SILENT)
        home.environment["PYTHONPATH"] = str(ROOT)
        home.environment["ORCH_STORE"] = str(home.folder / "artifacts")
    (home.folder / "workspace.yaml").write_text(f"load_from: [{{python_module: {LOCATION}}}]")
    workspace = ("-w", str(home.folder / "workspace.yaml"))
    with (
        home.instance() as real,
        home.start("dagster-daemon", "run", *workspace, log=home.folder / "daemon.log"),
        home.webserver(*workspace) as url,
    ):
        params = {
            "selector": {
                "repositoryLocationName": LOCATION,
                "repositoryName": "__repository__",
                "jobName": "everything",
            },
            "runConfigData": {},
            "executionMetadata": {
                "tags": [{"key": key, "value": value} for key, value in TAGS.items()]
            },
        }
        launched = asked(url, LAUNCH, params=params)
        assert "LaunchRunSuccess" in launched, launched
        until(lambda: half_done(real, home), 240, f"the first study; see {home.folder}")
        yield real, url


@pytest.mark.parametrize("service", ["default", "silent"], indirect=True)
def test_a_run_that_is_terminated_in_the_ui_is_canceled_and_stays_so(home, service):
    real, url = service
    run = newest(real)
    assert "TerminateRunSuccess" in asked(url, TERMINATE, run=run.run_id)
    until(lambda: newest(real).is_finished, 60, "the end of the run")
    time.sleep(RETRY_SECONDS)
    (ended,) = real.get_runs()
    assert ended.status == dg.DagsterRunStatus.CANCELED
    assert in_state(real, "waiting", "MATERIALIZED") == ["QUICK"]
    assert in_state(real, "waiting", None) == ["SLOW"]
    assert calls(home, "SLOW") == 1


def test_a_run_that_its_host_stops_is_retried_once_from_failure(home, service):
    """What had succeeded is carried forward; a second stop is the end."""
    real, _ = service
    first = newest(real)
    stop(real, first)
    until(lambda: half_done(real, home, times=2), 240, f"the retry; see {home.folder}")
    retry = newest(real)
    assert retry.parent_run_id == first.run_id
    assert retry.tags["dagster/is_resume_retry"] == "true"
    stop(real, retry)
    time.sleep(RETRY_SECONDS)
    assert {run.status for run in real.get_runs()} == {dg.DagsterRunStatus.FAILURE}
    assert [run.run_id for run in real.get_runs()] == [retry.run_id, first.run_id]
    assert in_state(real, "waiting", "MATERIALIZED") == ["QUICK"]
    assert in_state(real, "waiting", "FAILED") == ["SLOW"]
    assert (calls(home, "QUICK"), calls(home, "SLOW")) == (1, 2)


def stop(real, run):
    """Send SIGTERM to the process that executes a run, and wait for the run's end."""
    said = " ".join(str(entry.message) for entry in real.all_logs(run.run_id))
    (process,) = set(re.findall(r"\(pid: (\d+)\)", said))
    os.kill(int(process), signal.SIGTERM)
    until(lambda: real.get_run_by_id(run.run_id).is_finished, 60, "the end of the run")
