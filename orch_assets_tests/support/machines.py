"""State machines for study pipelines under test, and a server that executes them."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from orch_assets import StudyMachine, study_pipeline
from orch_assets.defs.graph import build_together_graphs
from orch_assets.defs.state_machines.deployments import build_deployments
from orch_assets.defs.state_machines.resource import StepFunctionsResource
from orch_assets.orchestration.pipeline import pipeline_of
from orch_assets_tests.support.harness import definitions, ended
from orch_assets_tests.support.state_machine_servers import Server

ROLE = "arn:aws:iam::123456789012:role/StepFunctionsRole"
PLANTED = "Plantedname"


@study_pipeline
def sizes(study_key, sdk, study_logger):
    """The table that the machines take."""
    import pandas as pd

    return pd.DataFrame({"size": [1, 2]})


@dataclass(frozen=True)
class States:
    """A step of states as they are, in Amazon States Language; the first one is its first."""

    given: Mapping[str, Mapping[str, Any]]

    @property
    def name(self) -> str:
        return next(iter(self.given))

    def states(self, following: str | None) -> dict[str, dict[str, Any]]:
        return {name: dict(state) for name, state in self.given.items()}


def by_study(default: Mapping[str, Any], **others: Mapping[str, Any]) -> States:
    """Return a step that goes to a state of its own for each of some studies."""
    if not others:
        return States({"For any": default})
    choices = [
        {"Variable": "$.study_key", "StringEquals": study, "Next": f"For {study}"}
        for study in others
    ]
    route = {"Type": "Choice", "Choices": choices, "Default": "For any"}
    return States(
        {"Route": route, "For any": default, **{f"For {s}": state for s, state in others.items()}}
    )


def result(value: Any) -> dict[str, Any]:
    """Return a state that puts out a value."""
    return {"Type": "Pass", "Result": value, "End": True}


def wait(seconds: int) -> dict[str, Any]:
    """Return a state that waits, and puts out what it took in."""
    return {"Type": "Wait", "Seconds": seconds, "End": True}


AS_IT_COMES = {"Type": "Pass", "End": True}
BAD_DAY = {"Type": "Fail", "Error": "Clinops.BadDay", "Cause": f"no {PLANTED} today"}


def machine(*steps: Any, **settings: Any) -> StudyMachine:
    """Return a machine whose name no other test has."""
    return StudyMachine(steps, name=f"machine-{uuid.uuid4().hex[:8]}", **settings)


def location(
    folder: Path, url: str, *functions: Callable[..., Any], **resources: Any
) -> dg.Definitions:
    """Return a code location of these pipelines and the state machines that they declare."""
    pipelines = [pipeline for f in functions if (pipeline := pipeline_of(f)) is not None]
    step_functions = StepFunctionsResource(role_arn=ROLE, region="us-east-1", endpoint=url)
    assets = [*build_together_graphs(pipelines), *build_deployments(pipelines)]
    # Executors are of the first: one process, in which a test can look at what goes on.
    return dg.Definitions.merge(
        definitions(folder, *functions, step_functions=step_functions, **resources),
        dg.Definitions(assets=assets, executor=dg.in_process_executor),
    )


def executions(server: Server, function: Callable[..., Any], status: str) -> list[str]:
    """Return the ARNs of the executions of a pipeline's machine that have a status."""
    pipeline = pipeline_of(function)
    assert pipeline is not None
    assert pipeline.machine is not None
    arn = f"arn:aws:states:us-east-1:123456789012:stateMachine:{pipeline.machine.name}"
    found = server.client("stepfunctions").list_executions(
        stateMachineArn=arn, statusFilter=status, maxResults=1000
    )
    return [execution["executionArn"] for execution in found["executions"]]


def deploy(defs: dg.Definitions, real: dg.DagsterInstance, *names: str) -> None:
    """Materialize the assets that deploy machines."""
    selection: Sequence[dg.AssetKey] = [dg.AssetKey(f"{name}_machine") for name in names]
    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=real, asset_selection=selection
    )
    assert result.success


def resume_only(
    defs: dg.Definitions, real: dg.DagsterInstance, parent: dg.DagsterRun, name: str
) -> dg.DagsterRun:
    """Re-execute a run of one asset "from failure"; return the ended run."""
    job = defs.resolve_job_def("everything").get_subset(asset_selection={dg.AssetKey(name)})
    run = real.create_run_for_job(
        job,
        tags={**parent.tags, "dagster/is_resume_retry": "true"},
        parent_run_id=parent.run_id,
        root_run_id=parent.run_id,
    )
    execute_run(InMemoryJob(job), run, real, raise_on_error=False)
    return ended(real, run.run_id)
