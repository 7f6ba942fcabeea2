"""An account of twenty studies on a cluster: its runs, calls and states, and what a user does."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.scheduler.instigation import TickStatus

from orch_assets.defs.cluster.celery_launcher import EXECUTE_RUN, CeleryLauncher
from orch_assets.defs.io.artifact_names import artifact_name
from orch_assets.defs.partitions import STUDIES_NAME, range_tags
from orch_assets_tests.scenarios.cluster import cluster_location
from orch_assets_tests.support.cluster import Cluster
from orch_assets_tests.support.harness import materializations, states
from orch_assets_tests.support.processes import until

PIPELINES = cluster_location.PIPELINES
SELECTOR = {
    "repositoryLocationName": "orch_assets",
    "repositoryName": "__repository__",
}
MAIN_JOB = "study_pipelines"
_LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
_TERMINATE = """
mutation Terminate($run: String!, $policy: TerminateRunPolicy!) {
  terminateRuns(runIds: [$run], terminatePolicy: $policy) { ... on TerminateRunsResult {
    terminateRunResults { __typename } } }
}
"""
_BACKFILL = """
mutation Backfill($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
_REEXECUTE = """
mutation Again($params: ReexecutionParams!) {
  launchRunReexecution(reexecutionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
_START = {
    "sensor": """
mutation Start($selector: SensorSelector!) {
  startSensor(sensorSelector: $selector) { ... on Sensor { sensorState { id } } }
}
""",
    "schedule": """
mutation Start($selector: ScheduleSelector!) {
  startSchedule(scheduleSelector: $selector) {
    ... on ScheduleStateResult { scheduleState { id } } }
}
""",
}
_STOP = {
    "sensor": "mutation Stop($id: String!) { stopSensor(id: $id) { __typename } }",
    "schedule": "mutation Stop($id: String!) { stopRunningSchedule(id: $id) { __typename } }",
}
SCHEDULES = {"daily_refresh"}


class ClusterAccount:
    """A cluster, its instance and the folder that its pipelines leave files in.

    Attributes:
        cluster: the cluster.
        real: its instance.
        calls_folder: a file for each call, and one for each study that is held.
        store: the open artifact store.
    """

    def __init__(
        self, cluster: Cluster, real: dg.DagsterInstance, calls_folder: Path, store: Any
    ) -> None:
        self.cluster = cluster
        self.real = real
        self.calls_folder = calls_folder
        self.store = store
        self._ids: dict[str, str] = {}

    # --- what a user does ---

    def launch(self, first: str, last: str, **tags: str) -> str:
        """Launch a run over a range of studies in the UI; return its ID."""
        params = {
            "selector": {**SELECTOR, "jobName": MAIN_JOB},
            "executionMetadata": {
                "tags": [
                    {"key": key, "value": value}
                    for key, value in {**range_tags(first, last), **tags}.items()
                ]
            },
        }
        told = self.cluster.ask(_LAUNCH, params=params)["launchRun"]
        assert told["__typename"] == "LaunchRunSuccess", told
        return str(told["run"]["runId"])

    def terminate(self, run_id: str, policy: str = "SAFE_TERMINATE") -> None:
        """Terminate a run in the UI."""
        told = self.cluster.ask(_TERMINATE, run=run_id, policy=policy)["terminateRuns"]
        assert told == {"terminateRunResults": [{"__typename": "TerminateRunSuccess"}]}, told

    def backfill(self, studies: list[str]) -> str:
        """Backfill the pipelines in the UI; return the backfill's ID."""
        keys = [{"path": [name]} for name in PIPELINES]
        params = {"assetSelection": keys, "partitionNames": studies, "fromFailure": False}
        told = self.cluster.ask(_BACKFILL, params=params)["launchPartitionBackfill"]
        assert told["__typename"] == "LaunchBackfillSuccess", told
        return str(told["backfillId"])

    def start(self, name: str) -> None:
        """Switch a sensor or the schedule on in the UI."""
        kind = "schedule" if name in SCHEDULES else "sensor"
        selector = {**SELECTOR, f"{kind}Name": name}

        def is_started() -> bool:
            (told,) = self.cluster.ask(_START[kind], selector=selector).values()
            if not told:  # the webserver asked for the code location before it was loaded
                self.cluster.ask("mutation { reloadWorkspace { __typename } }")
                return False
            self._ids[name] = next(iter(told.values()))["id"]
            return True

        until(is_started, 120, f"{name} starts")

    def stop(self, name: str) -> None:
        """Switch a sensor or the schedule off in the UI, after it was switched on there.

        A tick that is being evaluated writes the state that it began with, so that all go on.
        """
        kind = "schedule" if name in SCHEDULES else "sensor"

        def stays_stopped() -> bool:
            if not self._is_ticking(name):
                self.cluster.ask(_STOP[kind], id=self._ids[name])
            time.sleep(4)
            return not self._is_ticking(name) and not self._state(name).is_running

        until(stays_stopped, 150, f"{name} stops")

    def _state(self, name: str) -> Any:
        """Return the state of a sensor or schedule; None before it has one."""
        found = self.real.all_instigator_state()
        return next((each for each in found if each.instigator_name == name), None)

    def _is_ticking(self, name: str) -> bool:
        state = self._state(name)
        if state is None:
            return False
        ticks = self.real.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        return any(tick.status is TickStatus.STARTED for tick in ticks)

    def reexecute(self, run_id: str) -> str:
        """Re-execute a run from failure in the UI; return the new run's ID."""
        params = {"parentRunId": run_id, "strategy": "FROM_FAILURE"}
        told = self.cluster.ask(_REEXECUTE, params=params)["launchRunReexecution"]
        assert told["__typename"] == "LaunchRunSuccess", told
        return str(told["run"]["runId"])

    def deliver_again(self, run_id: str) -> None:
        """Send a run's task to the broker again, as the broker itself may."""
        launcher = self.real.run_launcher
        assert isinstance(launcher, CeleryLauncher)
        launcher.celery.send_task(EXECUTE_RUN, args=[run_id], task_id=run_id, queue="dagster")

    def release(self) -> None:
        """Let all studies go on."""
        for file in self.calls_folder.glob("hold|*"):
            file.unlink()

    @contextmanager
    def holding(self, pipeline: str, *studies: str) -> Iterator[None]:
        """Let studies wait in a pipeline until the end of the block."""
        files = [self.calls_folder / f"hold|{pipeline}|{study}" for study in studies]
        for file in files:
            file.touch()
        try:
            yield
        finally:
            for file in files:
                file.unlink(missing_ok=True)

    # --- what is to be seen ---

    @property
    def studies(self) -> list[str]:
        """Return the known studies."""
        return [*self.real.get_dynamic_partitions(STUDIES_NAME)]

    def runs(self, **tags: str) -> list[dg.DagsterRun]:
        """Return the runs of the main job, oldest first."""
        found = self.real.get_runs(dg.RunsFilter(tags=tags) if tags else None)
        return [run for run in reversed(found) if not run.job_name.startswith("refresh")]

    def status(self, run_id: str) -> str:
        """Return the status of a run."""
        run = self.real.get_run_by_id(run_id)
        assert run is not None
        return run.status.value

    def await_status(self, run_id: str, status: str, seconds: float = 120) -> None:
        """Wait until a run has a status."""
        until(
            lambda: self.status(run_id) == status,
            seconds,
            f"run {run_id} is {status}, not {self.status(run_id)}; see {self.cluster.folder}",
        )

    def await_ended(self, seconds: float = 240) -> None:
        """Wait until no run is unfinished."""
        until(
            lambda: all(run.is_finished for run in self.real.get_runs()),
            seconds,
            f"all runs have ended; see {self.cluster.folder}",
        )

    def retry_of(self, run_id: str) -> str:
        """Wait for the run that re-executes a run; return its ID."""
        until(lambda: self.children(run_id), 120, f"{run_id} is re-executed")
        (child,) = self.children(run_id)
        return child

    def children(self, run_id: str) -> list[str]:
        """Return the runs that re-execute a run."""
        return [run.run_id for run in self.real.get_runs() if run.parent_run_id == run_id]

    def states(self) -> dict[str, Mapping[str, Any]]:
        """Return each study's state by pipeline."""
        return {name: states(self.real, name) for name in PIPELINES}

    def calls(self) -> Counter[tuple[str, str]]:
        """Return how often each pipeline was called for each study."""
        parts = (file.name.split("|") for file in self.calls_folder.iterdir())
        return Counter((each[0], each[1]) for each in parts if each[0] in PIPELINES)

    def logged_by(self, *run_ids: str) -> set[tuple[str, str]]:
        """Return the pipelines and studies that some runs have materialized."""
        return {
            (name, study)
            for name in PIPELINES
            for study, found in materializations(self.real, name).items()
            if any(each["run"] in run_ids for each in found)
        }

    def workers_of(self, *run_ids: str) -> set[str]:
        """Return the workers whose logs say that they received one of the runs."""
        return {
            name
            for name in ("worker1", "worker2")
            for run_id in run_ids
            if f"[{run_id}] received" in self.cluster.log(name).read_text()
        }

    def said(self, run_id: str, text: str) -> int:
        """Return how many lines of all workers say a text of a run."""
        lines = (
            line
            for name in ("worker1", "worker2")
            for line in self.cluster.log(name).read_text().splitlines()
        )
        return sum(run_id in line and text in line for line in lines)

    def published_by(self, run_id: str) -> set[tuple[str, str]]:
        """Return the pipelines and studies that have a publication of a run in the store."""
        return {
            (name, study)
            for name in PIPELINES
            for study in self.studies
            for manifest in self.store.versions(artifact_name(dg.AssetKey(name), study))
            for publication in manifest.publications
            if publication.provenance.get("run") == run_id
        }

    def publications(self) -> dict[str, Any]:
        """Return every artifact's versions, with all their publications."""
        return {name: self.store.versions(name) for name in self.store.list_artifacts()}


def every_pair(studies: list[str]) -> set[tuple[str, str]]:
    """Return all pairs of a pipeline and a study."""
    return {(name, study) for name in PIPELINES for study in studies}
