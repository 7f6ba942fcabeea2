"""``build_definitions``: a whole code location, of shipped pipelines and of a user's own."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import dagster as dg

from orch_assets import pipelines as shipped_pipelines
from orch_assets.defs.automation import build_automation_sensor
from orch_assets.defs.discovery import (
    Source,
    Sources,
    as_sources,
    broken_pipelines,
    discover_pipelines,
)
from orch_assets.defs.graph import build_study_graph, build_together_graphs, runs_on_request
from orch_assets.defs.location.location_settings import LocationSettings
from orch_assets.defs.schedule import build_daily_refresh
from orch_assets.defs.state_machines.deployments import build_deployments
from orch_assets.defs.study_resources import study_resources
from orch_assets.defs.study_results import build_results_sensor, build_study_results
from orch_assets.defs.study_sensor import build_study_sensor, build_sync_job
from orch_assets.orchestration.pipeline import StudyPipeline


def build_definitions(
    pipelines: Sources = (),
    *,
    shipped: Literal["all"] | Collection[str] = "all",
    assets: Iterable[Any] = (),
    checks: Iterable[Any] = (),
    sensors: Iterable[Any] = (),
    schedules: Iterable[Any] = (),
    jobs: Iterable[Any] = (),
    resources: Mapping[str, Any] | None = None,
    settings: LocationSettings | None = None,
    pool: str | None = None,
) -> dg.Definitions:
    """Return a code location with shipped pipelines and your own.

    Args:
        pipelines: Your pipelines: a package, a module or a function that is marked with
            ``@study_pipeline``, or several of them. All modules of a package are imported.
        shipped: Names of the shipped pipelines to include, each with its upstreams. ``"all"`` by
            default; empty for none.
        assets: Your Dagster assets, which may take tables of pipelines.
        checks: Your asset checks, also of tables of pipelines.
        sensors: Your sensors. ``job_name="study_pipelines"`` is the job that runs the pipelines.
        schedules: Your schedules, likewise.
        jobs: Your jobs.
        resources: Your resources. One with a key of ours replaces ours.
        settings: The settings that are read at load; None reads them from the environment.
        pool: A Dagster pool that limits the runs of the pipelines; None for no limit.

    Raises:
        PipelineDefinitionError: An argument is wrong. A pipeline that can't be built isn't an
            error: it becomes an asset that fails for each study and says why.
        SettingError: A setting can't be read.
    """
    settings = settings or LocationSettings.from_environment()
    everything = {**study_resources(), **(resources or {})}
    found = discover_pipelines([*_shipped(shipped), *as_sources(pipelines)], everything)
    for reason in dict.fromkeys(broken_pipelines(found).values()):
        logging.getLogger(__name__).warning("Broken: %s", reason)
    ours = _our_definitions(found, settings, pool)
    return dg.Definitions(
        assets=[*ours.assets, *assets],
        asset_checks=[*ours.checks, *checks],
        jobs=[*ours.jobs, *jobs],
        sensors=[*ours.sensors, *sensors],
        schedules=[*ours.schedules, *schedules],
        resources=everything,
        # A run is one step with its own threads; a separate process would only cost its start.
        executor=dg.in_process_executor,
    )


@dataclass(frozen=True, kw_only=True)
class _OurDefinitions:
    """What a code location has of ours, whatever a user adds."""

    assets: Sequence[dg.AssetsDefinition]
    checks: Sequence[dg.AssetChecksDefinition]
    jobs: Sequence[Any]
    sensors: Sequence[dg.SensorDefinition]
    schedules: Sequence[dg.ScheduleDefinition]


def _our_definitions(
    pipelines: Sequence[StudyPipeline], settings: LocationSettings, pool: str | None
) -> _OurDefinitions:
    policy, per_run = settings.backfill_policy, settings.studies_per_run
    automation = settings.automation
    graphs = [
        build_study_graph(pipelines, backfill_policy=policy, pool=pool),
        *build_together_graphs(pipelines, backfill_policy=policy),
    ]
    keys = {key for graph in graphs for key in graph.keys}
    study_results = build_study_results(keys)
    study_pipelines = dg.define_asset_job(
        "study_pipelines",
        selection=[dg.AssetKey(each.name) for each in pipelines if not runs_on_request(each)],
        description="Runs every pipeline for the selected studies, except those that run on "
        "request.",
    )
    refresh_results = dg.define_asset_job("refresh_study_results", selection=[study_results])
    schedule = settings.cron_and_zone()
    return _OurDefinitions(
        assets=[*graphs, study_results, *build_deployments(pipelines)],
        checks=[],
        jobs=[study_pipelines, refresh_results, build_sync_job()],
        sensors=[
            build_study_sensor(study_pipelines, keys, per_run=per_run, running=automation),
            build_results_sensor(refresh_results, keys),
            build_automation_sensor(keys, running=automation),
        ],
        schedules=[build_daily_refresh(study_pipelines, per_run=per_run, cron_and_zone=schedule)],
    )


def _shipped(names: Literal["all"] | Collection[str]) -> list[Source]:
    if names == "all":
        return [shipped_pipelines]
    by_name = {each.name: each for each in discover_pipelines(shipped_pipelines)}
    chosen: dict[str, StudyPipeline] = {}
    todo = list(names)
    while todo:
        name = todo.pop(0)
        if name not in chosen:
            chosen[name] = by_name[name]
            todo += by_name[name].upstreams
    return [chosen[name].function for name in by_name if name in chosen]
