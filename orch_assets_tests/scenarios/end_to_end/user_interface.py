"""The UI's GraphQL over a code location, on an account's instance, as far as re-executing goes."""

from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
import yaml
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load import location_origins_from_yaml_paths
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._utils.hosted_user_process import recon_job_from_origin

from orch_assets_tests.support.processes import ROOT, registry_settings

_REEXECUTE = """
mutation($params: ReexecutionParams!) {
  launchRunReexecution(reexecutionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
# Whoever asks for a run executes it afterwards: no daemon and no code server are needed.
_LAUNCHING = {
    "run_launcher": {"module": "dagster._core.test_utils", "class": "MockedRunLauncher"},
    "run_coordinator": {
        "module": "dagster._core.run_coordinator",
        "class": "DefaultRunCoordinator",
    },
    "telemetry": {"enabled": False},
}


class UserInterface:
    """The UI's GraphQL over a code location, on an account's instance."""

    def __init__(self, account, real: dg.DagsterInstance, workspace: Any) -> None:
        self.account = account
        self.real = real
        self._workspace = workspace

    def ask(self, query: str, **variables: Any) -> Mapping[str, Any]:
        from dagster_graphql.test.utils import execute_dagster_graphql

        (answer,) = execute_dagster_graphql(self._workspace, query, variables).data.values()
        return answer

    def reexecute(self, parent: dg.DagsterRun, strategy: str = "FROM_FAILURE") -> dg.DagsterRun:
        """Re-execute a run; return the ended run."""
        params = {"parentRunId": parent.run_id, "strategy": strategy}
        launched = self.ask(_REEXECUTE, params=params)
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run = self.real.get_run_by_id(launched["run"]["runId"])
        execute_run(recon_job_from_origin(run.job_code_origin), run, self.real)
        return self.real.get_run_by_id(run.run_id)


@contextmanager
def user_interface(account, monkeypatch, origins=None):
    """Give the UI over the code location of `workspace.yaml`, or of other origins."""
    (account.home / "dagster.yaml").write_text(yaml.safe_dump(_LAUNCHING))
    for name, value in registry_settings(account.server).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_HOME", str(account.home))
    (origin,) = origins or location_origins_from_yaml_paths([str(ROOT / "workspace.yaml")])
    location = InProcessCodeLocationOrigin(
        origin.loadable_target_origin, location_name=origin.location_name
    )
    target = InProcessWorkspaceLoadTarget(location)
    with account.instance() as real, WorkspaceProcessContext(real, target) as process:
        yield UserInterface(account, real, process.create_request_context())
