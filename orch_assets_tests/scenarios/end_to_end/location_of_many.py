"""A code location with one small pipeline, whose sensors tick each second: for many studies."""

import dagster as dg

from orch_assets import study_pipeline
from orch_assets.defs.automation import build_automation_sensor
from orch_assets.defs.graph import build_study_graph
from orch_assets.defs.study_resources import study_resources
from orch_assets.defs.study_results import build_results_sensor, build_study_results
from orch_assets.defs.study_sensor import build_study_sensor
from orch_assets.orchestration.pipeline import pipeline_of
from orch_assets_tests.scenarios.end_to_end.impatient_location import impatient

PER_TICK = 100


@study_pipeline
def small(study_key, sdk, study_logger):
    return {"answer": 42}


_graph = build_study_graph([pipeline_of(small)])
_results = build_study_results(_graph.keys)
_studies = dg.define_asset_job("study_pipelines", selection=["small"])
_refresh = dg.define_asset_job("refresh_study_results", selection=[_results])

defs = dg.Definitions(
    assets=[_graph, _results],
    jobs=[_studies, _refresh],
    sensors=[
        impatient(sensor)
        for sensor in (
            build_study_sensor(_studies, _graph.keys, per_tick=PER_TICK, running=True),
            build_results_sensor(_refresh, _graph.keys),
            build_automation_sensor(_graph.keys, running=True),
        )
    ],
    resources=study_resources(),
    executor=dg.in_process_executor,
)
