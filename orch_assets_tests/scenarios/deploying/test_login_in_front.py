"""The shipped nginx in front of a real webserver: who may come in, and who launched what."""

import configparser
import http.client
import json
import logging
import re
import socket
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.execution.api import execute_run
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.remote_origin import IN_PROCESS_NAME, InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._utils.hosted_user_process import recon_job_from_origin
from websockets.sync.client import connect

from orch_assets.defs.partitions import STUDIES_NAME, range_tags
from orch_assets.stores import LocalPipelineStore
from orch_assets_tests.scenarios.deploying import proxy as deployed
from orch_assets_tests.scenarios.deploying.proxy import login
from orch_assets_tests.support.graphql import ask
from orch_assets_tests.support.processes import ROOT, Home, free_port

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not deployed.ARE_HERE, reason=deployed.NEEDS),
]

LOCATION = "orch_assets_tests.scenarios.deploying.small_location"
COORDINATOR = {
    "module": "orch_assets.defs.run_coordinator",
    "class": "CancellingRunCoordinator",
    "config": {"user_header": "X-Forwarded-User"},
}
QUERY = "/graphql?query={version}"
# What Debian's fail2ban 1.0.2 looks for by its filter nginx-http-auth, after the time.
DEBIANS_FILTER = re.compile(
    r'\s*\[error\] \d+#\d+: \*\d+ user "(?:[^"]+|.*?)":? '
    r'(?:password mismatch|was not found in "[^\"]*"), client: (?P<host>\S+), server: \S*, '
    r'request: "\S+ \S+ HTTP/\d+\.\d+", host: "\S+"(?:, referrer: "\S+")?\s*'
)
FORGED = {"X_Forwarded_User": "mallory", "x_forwarded_user": "mallory"}
TAGS = {"studies": range_tags("S1", "S1"), "plain": {}}
FORGED_TAGS = {"orch_assets/user": "mallory", "user": "mallory"}
LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
REEXECUTE = """
mutation ($params: ReexecutionParams!) {
  launchRunReexecution(reexecutionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
BACKFILL = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""
RETRY_BACKFILL = """
mutation ($params: ReexecutionParams!) {
  reexecutePartitionBackfill(reexecutionParams: $params) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""
RESUME_BACKFILL = """
mutation ($backfill: String!) {
  resumePartitionBackfill(backfillId: $backfill) {
    __typename ... on PythonError { message } } }
"""


def as_list(tags):
    return [{"key": key, "value": value} for key, value in tags.items()]


def parameters(job, location=LOCATION):
    return {
        "selector": {
            "repositoryLocationName": location,
            "repositoryName": "__repository__",
            "jobName": job,
        },
        "runConfigData": {},
        "executionMetadata": {"tags": as_list({**TAGS[job], **FORGED_TAGS})},
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    settings = {"PYTHONPATH": str(ROOT), "ORCH_STORE": str(folder / "artifacts")}
    home = Home(folder / "home", settings)
    config = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    config["run_coordinator"] = COORDINATOR
    (home.folder / "dagster.yaml").write_text(yaml.safe_dump(config))
    (home.folder / "workspace.yaml").write_text(f"load_from: [{{python_module: {LOCATION}}}]")
    return home


@pytest.fixture(scope="module")
def service(home):
    """The webserver's port and nginx in front of it."""
    with (
        deployed.webserver(home, home.folder / "workspace.yaml") as port,
        deployed.nginx(home.folder / "nginx", ["ann", "bob@site.example", "o'hara"], port) as proxy,
    ):
        yield port, proxy


@pytest.fixture(scope="module")
def proxy(service):
    return service[1]


@pytest.fixture
def real(home):
    with home.instance() as opened:
        if not opened.has_dynamic_partition(STUDIES_NAME, "S1"):
            opened.add_dynamic_partitions(STUDIES_NAME, ["S1"])
        yield opened


def launched(real, proxy, user, job="studies"):
    """Return the queued run that a user launches, who claims to be another."""
    return run_of(real, proxy.query(user, LAUNCH, FORGED, params=parameters(job))["launchRun"])


def run_of(real, answer):
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return real.get_run_by_id(answer["run"]["runId"])


def users(tagged):
    return [tagged.tags.get("orch_assets/user"), tagged.tags.get("user")]


# --- who may come in ---


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": login("ann", "wrong")},
        {"Authorization": login("nobody")},
        {"X_Forwarded_User": "ann"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/runs", "/graphql", "/server_info"])
def test_nobody_comes_in_without_a_password(proxy, path, headers):
    status, told, text = proxy.ask(path, **headers)
    assert (status, told["WWW-Authenticate"]) == (401, 'Basic realm="Dagster"')
    assert "nginx/" not in told["Server"] + text


def test_with_a_password_the_page_comes_over_tls_with_headers_once(proxy):
    status, told, text = proxy.ask("/", Authorization=login("ann"))
    assert status == 200
    assert "</script></body></html>" in text
    assert {
        "Strict-Transport-Security": "max-age=31536000",
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
    }.items() <= told.items()


def test_the_webserver_is_bound_to_one_loopback_address(service):
    """Another address of this machine doesn't reach it, not even another of loopback."""
    port, _ = service
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=5)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://localhost:{port}", "Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "none"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "https://localhost:{port}.evil.example"}, 403),
        ({"Origin": "http://localhost:{port}"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
    ],
)
def test_another_sites_page_can_not_use_the_browsers_login(proxy, headers, status):
    """Dagster executes a query in the address that a form is sent to."""
    sent = {name: value.format(port=proxy.port) for name, value in headers.items()}
    sent["Content_Type"] = "application/x-www-form-urlencoded"
    answer = proxy.ask(QUERY, method="POST", Authorization=login("ann"), **sent)
    assert answer[0] == status
    assert ("version" in answer[2]) == (status == 200)
    assert proxy.ask("/runs", Authorization=login("ann"), Sec_Fetch_Site="cross-site")[0] == 200


@pytest.mark.parametrize("headers", [{}, {"Upgrade": "h2c"}, {"Sec_Fetch_Site": "same-origin"}])
@pytest.mark.parametrize("path", [QUERY, "//graphql?query={version}", "/%67raphql?query={version}"])
def test_a_query_in_an_address_is_not_executed(proxy, path, headers):
    """An older browser says nothing of where an image's address comes from."""
    status, _, text = proxy.ask(path, Authorization=login("ann"), Accept="image/*", **headers)
    assert (status, "version" in text) == (403, False)


def test_the_page_for_queries_can_be_opened(proxy):
    status, _, text = proxy.ask("/graphql", Authorization=login("ann"), Accept="text/html")
    assert (status, "GraphiQL" in text) == (200, True)


def test_fail2ban_finds_those_who_guess_and_nobody_else(proxy, home):
    """Not whoever opens the page, whose browser then asks for the password."""
    log = home.folder / "nginx" / "error.log"
    before = len(log.read_text())
    for guess in (None, login("ann"), login("ann", "wrong"), login("no body")):
        proxy.ask("/", **({"Authorization": guess} if guess else {}))
    told = log.read_text()[before:].splitlines()
    found = [DEBIANS_FILTER.fullmatch(line.removeprefix(line[:19])) for line in told]
    assert [match and match["host"] for match in found] == ["127.0.0.1", "127.0.0.1"]
    jail = configparser.ConfigParser(interpolation=None)
    jail.read(deployed.FOLDER / "fail2ban.conf")
    assert jail["nginx-http-auth"]["enabled"] == "true"
    assert int(jail["nginx-http-auth"]["maxretry"]) <= 10


def test_the_unit_waits_for_its_webserver_as_long_as_that_lives():
    """A code location may load for minutes, and a webserver that has ended is started again."""
    with subprocess.Popen(["sleep", "100"]) as webserver:
        first = deployed.first_request(free_port(), webserver.pid)
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                first.wait(1.5)
            webserver.terminate()
            webserver.wait(10)
            assert first.wait(20) == 1
        finally:
            webserver.kill()
            first.kill()
            first.wait(10)
    assert deployed.unit()["TimeoutStartSec"] == "30min"
    assert deployed.unit()["Restart"] == "on-failure"


def test_the_ui_can_follow_runs_over_a_websocket(proxy):
    address = f"wss://localhost:{proxy.port}/graphql"
    with connect(
        address,
        ssl=proxy.trusted,
        subprotocols=["graphql-ws"],
        origin=f"https://localhost:{proxy.port}",
        additional_headers={"Authorization": login("ann")},
    ) as channel:
        channel.send(json.dumps({"type": "connection_init"}))
        assert json.loads(channel.recv(timeout=30)) == {"type": "connection_ack"}


# --- who launched what ---


def test_a_run_has_the_user_whatever_the_request_claims(real, proxy):
    assert users(launched(real, proxy, "ann")) == ["ann", "ann"]
    assert users(launched(real, proxy, "bob@site.example")) == ["bob@site.example"] * 2


def test_a_name_with_other_characters_is_unknown(real, proxy):
    assert users(launched(real, proxy, "o'hara")) == ["(unknown)"] * 2


@pytest.mark.parametrize("names", [[], ["ann", "bob"], [""], ["a" * 101]])
def test_past_the_proxy_without_one_name_nobody_is_believed(real, service, names):
    """The tags that the request claims are overwritten as well."""
    port, _ = service
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body = json.dumps({"query": LAUNCH, "variables": {"params": parameters("studies")}}).encode()
    connection.putrequest("POST", "/graphql")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    for name in names:
        connection.putheader("X-Forwarded-User", name)
    connection.endheaders(body)
    answer = json.load(connection.getresponse())["data"]["launchRun"]
    connection.close()
    assert users(run_of(real, answer)) == ["(unknown)"] * 2


@pytest.mark.parametrize(("job", "artifact"), [("studies", "table/S1"), ("plain", "ordinary")])
def test_a_manifest_names_the_user(real, proxy, home, monkeypatch, job, artifact):
    run = launched(real, proxy, "ann", job)
    monkeypatch.setenv("ORCH_STORE", home.environment["ORCH_STORE"])
    started = dg.DagsterEvent(dg.DagsterEventType.PIPELINE_STARTING.value, run.job_name)
    real.report_dagster_event(started, run_id=run.run_id)  # as the daemon does
    run = real.get_run_by_id(run.run_id)
    execute_run(recon_job_from_origin(run.job_code_origin), run, real)
    assert real.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.SUCCESS
    store = LocalPipelineStore(Path(home.environment["ORCH_STORE"]))
    (publication,) = store.manifest(artifact).publications
    assert publication.provenance["run"] == run.run_id
    assert publication.provenance["launched_by"] == "ann"


def test_a_run_that_another_executes_again_has_the_other(real, proxy):
    run = launched(real, proxy, "ann")
    real.report_run_canceled(run)
    params = {"parentRunId": run.run_id, "strategy": "ALL_STEPS"}
    again = proxy.query("bob@site.example", REEXECUTE, FORGED, params=params)
    assert users(run_of(real, again["launchRunReexecution"])) == ["bob@site.example"] * 2


def requested(real, answer):
    """Return the backfill that an answer is about, as it was stored before any daemon saw it."""
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    return real.get_backfill(answer["backfillId"])


def backfilled(real, proxy, user):
    """Return the backfill that a user launches, who claims to be another."""
    params = {
        "assetSelection": [{"path": ["table"]}],
        "partitionNames": ["S1"],
        "tags": as_list(FORGED_TAGS),
    }
    answer = proxy.query(user, BACKFILL, FORGED, params=params)["launchPartitionBackfill"]
    return requested(real, answer)


def test_a_backfill_has_the_user(real, proxy, home, monkeypatch):
    """So its runs, which the daemon submits, who sees no request."""
    backfill = backfilled(real, proxy, "ann")
    assert users(backfill) == ["ann", "ann"]
    assert backfill.user == "ann"  # as the UI shows it
    monkeypatch.setenv("ORCH_STORE", home.environment["ORCH_STORE"])
    target = LoadableTargetOrigin(module_name=LOCATION, executable_path=sys.executable)
    location = InProcessCodeLocationOrigin(target, location_name=LOCATION)
    workspace = WorkspaceProcessContext(real, InProcessWorkspaceLoadTarget(location))
    with workspace as process:
        for failure in execute_backfill_iteration(process, logging.getLogger()):
            assert failure is None
    (run,) = real.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill.backfill_id}))
    assert users(run) == ["ann", "ann"]


@pytest.mark.parametrize("strategy", ["ALL_STEPS", "FROM_FAILURE"])
def test_a_backfill_that_another_retries_has_the_other(real, proxy, strategy):
    """The new backfill only: who launched the old one is as true as before."""
    old = backfilled(real, proxy, "ann")
    real.update_backfill(old.with_status(BulkActionStatus.FAILED))
    params = {"parentRunId": old.backfill_id, "strategy": strategy}
    answer = proxy.query("bob@site.example", RETRY_BACKFILL, FORGED, params=params)
    new = requested(real, answer["reexecutePartitionBackfill"])
    assert new.tags["dagster/parent_backfill_id"] == old.backfill_id
    assert users(new) == ["bob@site.example"] * 2
    assert users(real.get_backfill(old.backfill_id)) == ["ann", "ann"]
    real.update_backfill(new.with_status(BulkActionStatus.CANCELED))


def test_a_backfill_that_another_resumes_has_the_other(real, proxy):
    """As have all runs from then on."""
    old = backfilled(real, proxy, "ann")
    real.update_backfill(old.with_status(BulkActionStatus.FAILED))
    answer = proxy.query("bob@site.example", RESUME_BACKFILL, FORGED, backfill=old.backfill_id)
    assert answer["resumePartitionBackfill"]["__typename"] == "ResumeBackfillSuccess", answer
    resumed = real.get_backfill(old.backfill_id)
    assert resumed.status == BulkActionStatus.REQUESTED
    assert users(resumed) == ["bob@site.example"] * 2
    real.update_backfill(resumed.with_status(BulkActionStatus.CANCELED))


def test_what_the_daemon_submits_keeps_its_user(real, home, monkeypatch):
    """So a retry has the user of its run. No request has come, whose word could be doubted."""
    monkeypatch.setenv("ORCH_STORE", home.environment["ORCH_STORE"])
    params = parameters("studies", IN_PROCESS_NAME)
    answer = ask(real, LOCATION, LAUNCH, {"params": params})["launchRun"]
    assert users(run_of(real, answer)) == ["mallory", "mallory"]
