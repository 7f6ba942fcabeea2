"""The code location: all definitions that Dagster serves are assembled here, and only here."""

import logging

import dagster as dg

from orch_assets import pipelines
from orch_assets.defs.automation import build_automation_sensor
from orch_assets.defs.discovery import broken_pipelines, discover_pipelines
from orch_assets.defs.graph import build_study_graph, build_together_graphs, runs_on_request
from orch_assets.defs.schedule import build_daily_refresh
from orch_assets.defs.state_machines.deployments import build_deployments
from orch_assets.defs.study_resources import study_resources
from orch_assets.defs.study_results import build_results_sensor, build_study_results
from orch_assets.defs.study_sensor import build_study_sensor, build_sync_job

_resources = study_resources()
_all = discover_pipelines(pipelines, _resources)
_graphs = [build_study_graph(_all), *build_together_graphs(_all)]
graph_keys = {key for graph in _graphs for key in graph.keys}
_study_results = build_study_results(graph_keys)

# The reasons why pipelines are broken, by name. Each is an asset that fails for every study.
broken = broken_pipelines(_all)
for _reason in dict.fromkeys(broken.values()):
    logging.getLogger(__name__).warning("Broken: %s", _reason)

_study_pipelines = dg.define_asset_job(
    "study_pipelines",
    selection=[dg.AssetKey(each.name) for each in _all if not runs_on_request(each)],
    description="Runs every pipeline for the selected studies, except those that run on request.",
)
_refresh_results = dg.define_asset_job("refresh_study_results", selection=[_study_results])

defs = dg.Definitions(
    assets=[*_graphs, _study_results, *build_deployments(_all)],
    jobs=[_study_pipelines, _refresh_results, build_sync_job()],
    sensors=[
        build_study_sensor(_study_pipelines, graph_keys),
        build_results_sensor(_refresh_results, graph_keys),
        build_automation_sensor(graph_keys),
    ],
    schedules=[build_daily_refresh(_study_pipelines)],
    resources=_resources,
    # A run is one step with its own threads; a separate process would only cost its start.
    executor=dg.in_process_executor,
)
