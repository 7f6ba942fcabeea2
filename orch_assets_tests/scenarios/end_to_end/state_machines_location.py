"""A code location of one state machine that waits, for commands under test."""

from typing import Any

import dagster as dg

from orch_assets import StudyMachine, study_pipeline
from orch_assets.defs.graph import build_study_graph
from orch_assets.defs.resources import RegistryResource
from orch_assets.defs.state_machines.deployments import build_deployments
from orch_assets.defs.study_resources import study_resources
from orch_assets.orchestration.pipeline import pipeline_of
from orch_assets.step_functions import Wait


@study_pipeline(machine=StudyMachine([Wait("Pause", 300)], name="pausing"))
def pausing(study_key: str, sdk: Any, study_logger: Any) -> None:
    """Wait for five minutes."""


_found = [pipeline for pipeline in [pipeline_of(pausing)] if pipeline is not None]

defs = dg.Definitions(
    assets=[build_study_graph(_found), *build_deployments(_found)],
    resources=study_resources(
        registry=RegistryResource(kind="demo", demo_studies=1, demo_subjects=1)
    ),
    executor=dg.in_process_executor,
)
