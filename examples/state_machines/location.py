"""The demo's code location: one table of the registry, and what the state machine makes of it."""

import dagster as dg

from examples.state_machines import enrollment
from orch_assets.defs.graph import build_study_graph
from orch_assets.defs.state_machines.deployments import build_deployments
from orch_assets.defs.study_resources import study_resources
from orch_assets.defs.study_sensor import build_sync_job
from orch_assets.orchestration.pipeline import pipeline_of
from orch_assets.pipelines import subjects

_found = [pipeline_of(subjects.subjects), pipeline_of(enrollment.enrollment)]
_pipelines = [pipeline for pipeline in _found if pipeline is not None]
_graph = build_study_graph(_pipelines)

defs = dg.Definitions(
    assets=[_graph, *build_deployments(_pipelines)],
    jobs=[
        build_sync_job(),
        dg.define_asset_job("deploy", selection="enrollment_machine"),
        dg.define_asset_job("study_pipelines", selection=[_graph]),
    ],
    resources=study_resources(),
    executor=dg.in_process_executor,
)
