"""``build_definitions``: a whole code location, of shipped pipelines and of a user's own."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import dagster as dg

from orch_assets import pipelines as shipped_pipelines
from orch_assets.defs.alerts.alert_sensors import build_alerts_sensor, build_freshness_sensor
from orch_assets.defs.automation import build_automation_sensor
from orch_assets.defs.dagster_internals import UnresolvedAssetJobDefinition
from orch_assets.defs.discovery import (
    Source,
    Sources,
    as_sources,
    broken_pipelines,
    discover_pipelines,
    marked_pipelines,
)
from orch_assets.defs.exports.account_export import build_account_export
from orch_assets.defs.exports.export_pipelines import OF_ACCOUNT, export_pipelines
from orch_assets.defs.graph import build_study_graph, build_together_graphs, runs_on_request
from orch_assets.defs.io.io_manager import StudyIOManager
from orch_assets.defs.location.location_parts import (
    LocationParts,
    check_names,
    check_resource_keys,
)
from orch_assets.defs.location.location_settings import LocationSettings
from orch_assets.defs.resources import StoreResource
from orch_assets.defs.schedule import build_daily_refresh
from orch_assets.defs.settings.run_settings import SettingSources
from orch_assets.defs.state_machines.deployments import build_deployments
from orch_assets.defs.study_resources import study_resources
from orch_assets.defs.study_results import build_results_sensor, build_study_results
from orch_assets.defs.study_sensor import build_study_sensor, build_sync_job
from orch_assets.defs.upkeep.upkeep_job import build_upkeep_job, build_upkeep_schedule
from orch_assets.errors import PipelineDefinitionError
from orch_assets.orchestration.defining.similar_names import closest_key, did_you_mean
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
    per_study: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
    pool: str | None = None,
    exports: Collection[str] | None = None,
) -> dg.Definitions:
    """Return a code location with shipped pipelines and your own.

    Args:
        pipelines: Your pipelines: a package, a module or a function that is marked with
            ``@study_pipeline``, or several of them. All modules of a package are imported.
        shipped: Names of the shipped pipelines to include, each with its upstreams. ``"all"`` by
            default; empty for none.
        assets: Your Dagster assets, which may take tables of pipelines.
        checks: Your asset checks, also of tables of pipelines. ``study_pipelines`` leaves them
            out: give them a job or an automation condition.
        sensors: Your sensors. ``job_name="study_pipelines"`` is the job that runs the pipelines.
        schedules: Your schedules, likewise.
        jobs: Your jobs.
        resources: Your resources. One with a key of ours replaces ours.
        settings: The settings that are read at load; None reads them from the environment.
        per_study: Settings of pipelines for single studies, such as
            ``{"ONC-301": {"labs": {"days": 14}}}``. Those of the file ``ORCH_STUDIES_FILE`` count
            more, and those of a run count most. A wrong one fails the pipelines that have settings,
            for that study alone.
        exports: Formats in which ``form_tables`` is exported, an asset for each, such as
            ``["xpt", "xlsx"]``. None leaves that to the settings.
        pool: A Dagster pool that limits the runs of the study graph; None for no limit. A pipeline
            with one execution for all studies isn't in it.

    Raises:
        PipelineDefinitionError: An argument is wrong. A pipeline that can't be built isn't an
            error: it becomes an asset that fails for each study and says why.
        SettingError: A setting can't be read, or the open store has an address in code, and the
            restricted one hasn't.
    """
    settings = settings or LocationSettings.from_environment()
    if exports is not None:
        settings = replace(settings, exports=tuple(exports))
    theirs = LocationParts(
        assets=[*assets],
        checks=[*checks],
        jobs=[*jobs],
        sensors=[*sensors],
        schedules=[*schedules],
    )
    own = dict(resources or {})
    our_resources = _our_resources(own)
    sources_of_all = [*as_sources(pipelines), *export_pipelines(settings.exports)]
    found = _pipelines(sources_of_all, shipped, {**our_resources, **own})
    sources = SettingSources(per_study or {}, settings.studies_file)
    ours = _our_definitions(found, settings, sources, pool)
    check_names(ours, theirs)
    required = {key for each in found for key in (each.io_manager_key, *each.resources)}
    required |= theirs.required_resources()
    check_resource_keys(own, our_resources.keys(), required)
    return dg.Definitions(
        assets=[*ours.assets, *theirs.assets],
        asset_checks=[*ours.checks, *theirs.checks],
        jobs=[*ours.jobs, *theirs.jobs],
        sensors=[*ours.sensors, *theirs.sensors],
        schedules=[*ours.schedules, *theirs.schedules],
        resources={**our_resources, **own},
        # A run is one step with its own threads; a separate process would only cost its start.
        executor=dg.in_process_executor,
    )


def _our_resources(theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return our resources; withheld values go where a user's failure reports go.

    Raises:
        SettingError: The user's open store has an address in code, and the restricted one hasn't.
    """
    io_manager, restricted = theirs.get("io_manager"), theirs.get("restricted_store")
    return study_resources(
        store=io_manager.store if isinstance(io_manager, StudyIOManager) else None,
        restricted=restricted if isinstance(restricted, StoreResource) else None,
    )


def _pipelines(
    sources: Sources, shipped: Literal["all"] | Collection[str], resources: Collection[str]
) -> list[StudyPipeline]:
    """Return the chosen shipped pipelines and the user's; log which are broken.

    Raises:
        PipelineDefinitionError: There are none.
    """
    chosen, left_out = _shipped(shipped)
    found = discover_pipelines([*chosen, *as_sources(sources)], resources, left_out=left_out)
    if not found:
        raise PipelineDefinitionError(
            "The code location has no pipelines. Mark a function with @study_pipeline, or include "
            "shipped pipelines."
        )
    for reason in dict.fromkeys(broken_pipelines(found).values()):
        logging.getLogger(__name__).warning("Broken: %s", reason)
    return found


def _shipped(names: Literal["all"] | Collection[str]) -> tuple[list[Source], list[str]]:
    """Return the shipped pipelines with these names and their upstreams, and the other names."""
    if names == "all":
        return [shipped_pipelines], []
    by_name = {each.name: each for each in marked_pipelines(shipped_pipelines)}
    chosen: set[str] = set()
    todo = [names] if isinstance(names, str) else list(names)
    while todo:
        name = todo.pop()
        if name not in by_name:
            hint = did_you_mean(closest_key(name, by_name))
            raise PipelineDefinitionError(
                f"shipped names {name}, which is not a shipped pipeline.{hint} Shipped pipelines: "
                f"{', '.join(by_name)}."
            )
        if name not in chosen:
            chosen.add(name)
            todo += by_name[name].upstreams
    functions: list[Source] = [each.function for name, each in by_name.items() if name in chosen]
    return functions, [name for name in by_name if name not in chosen]


def _our_definitions(
    pipelines: Sequence[StudyPipeline],
    settings: LocationSettings,
    sources: SettingSources,
    pool: str | None,
) -> LocationParts:
    policy, per_run = settings.backfill_policy, settings.studies_per_run
    automation = settings.automation
    graphs = [
        build_study_graph(pipelines, backfill_policy=policy, pool=pool, settings=sources),
        *build_together_graphs(pipelines, backfill_policy=policy, settings=sources),
    ]
    keys = {key for graph in graphs for key in graph.keys}
    study_results = build_study_results(keys)
    study_pipelines = _main_job(graphs, pipelines)
    refresh_results = dg.define_asset_job("refresh_study_results", selection=[study_results])
    schedule, upkeep = settings.cron_and_zone(), build_upkeep_job(keys)
    accounts = [build_account_export()] if OF_ACCOUNT in settings.exports else []
    return LocationParts(
        assets=[*graphs, study_results, *build_deployments(pipelines), *accounts],
        checks=[],
        jobs=[study_pipelines, refresh_results, build_sync_job(), upkeep],
        sensors=[
            build_study_sensor(study_pipelines, keys, per_run=per_run, running=automation),
            build_results_sensor(refresh_results, keys),
            build_automation_sensor(keys, running=automation),
            build_freshness_sensor(e.name for e in pipelines if not runs_on_request(e)),
            build_alerts_sensor(keys),
        ],
        schedules=[
            build_daily_refresh(study_pipelines, per_run=per_run, cron_and_zone=schedule),
            build_upkeep_schedule(upkeep, settings.upkeep_cron_and_zone()),
        ],
    )


def _main_job(
    graphs: Iterable[dg.AssetsDefinition], pipelines: Iterable[StudyPipeline]
) -> UnresolvedAssetJobDefinition:
    keys = [dg.AssetKey(each.name) for each in pipelines if not runs_on_request(each)]
    # Without a user's checks: Dagster would skip them, because a study graph yields no output.
    checks = [key for graph in graphs for key in graph.check_keys if key.asset_key in set(keys)]
    return dg.define_asset_job(
        "study_pipelines",
        selection=dg.AssetSelection.assets(*keys).without_checks()
        | dg.AssetSelection.checks(*checks),
        description="Runs every pipeline for the selected studies, except those that run on "
        "request.",
    )
