"""A code location whose pipelines fail in every way, each for the study of the way's name."""

import dagster as dg

from orch_assets import StudyMachine, study_pipeline
from orch_assets.defs.graph import build_study_graph
from orch_assets.defs.state_machines.deployments import build_deployments
from orch_assets.defs.study_resources import study_resources
from orch_assets.orchestration.pipeline import pipeline_of
from orch_assets_tests.scenarios.ways_to_fail import beside, libraries, raising, results, sources  # noqa: F401
from orch_assets_tests.scenarios.ways_to_fail.ways import WAYS
from orch_assets_tests.support.machines import States

_STATES = {
    "Look": {
        "Type": "Choice",
        "Choices": [{"Variable": "$.error", "IsPresent": True, "Next": "Fail"}],
        "Default": "Pass",
    },
    "Fail": {"Type": "Fail", "ErrorPath": "$.error", "CausePath": "$.cause"},
    "Pass": {"Type": "Pass", "End": True},
}


def _go(study_key):
    return WAYS[study_key].function(WAYS[study_key].text)


@study_pipeline
def plain(study_key, sdk, study_logger):
    """Ways of a plain function."""
    return _go(study_key)


@study_pipeline
async def waits(study_key, sdk, study_logger):
    """Ways of a function on the event loop."""
    return await _go(study_key)


@study_pipeline(io_manager_key="own_io_manager")
def own(study_key, sdk, study_logger):
    """Ways of an IO manager."""
    return _go(study_key)


@study_pipeline(machine=StudyMachine([States(_STATES)], name="ways-to-fail"))
def machine(study_key, sdk, study_logger):
    """Ways of a state machine."""
    return _go(study_key)


PIPELINES = [pipeline_of(function) for function in (plain, waits, own, machine)]

defs = dg.Definitions(
    assets=[build_study_graph(PIPELINES), *build_deployments(PIPELINES)],
    jobs=[dg.define_asset_job("everything", selection=[each.name for each in PIPELINES])],
    resources=study_resources(own_io_manager=beside.OwnIOManager()),
    executor=dg.in_process_executor,
)
