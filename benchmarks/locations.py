"""Code locations with empty pipelines, for the benchmarks."""

import os

import dagster as dg

from orch_assets import study_pipeline
from orch_assets.defs.graph import build_study_graph
from orch_assets.defs.partitions import studies
from orch_assets.defs.resources import RegistryResource
from orch_assets.defs.study_resources import study_resources
from orch_assets.orchestration.pipeline import StudyPipeline, pipeline_of


def empty_pipelines(count: int) -> list[StudyPipeline]:
    """Return this many pipelines that do nothing."""
    pipelines = []
    for number in range(count):

        @study_pipeline(name=f"empty_{number}")
        def empty(study_key: str, sdk: object, study_logger: object) -> None:
            pass

        pipelines.append(pipeline_of(empty))
    return [pipeline for pipeline in pipelines if pipeline is not None]


def graph_location(count: int) -> dg.Definitions:
    """Return a code location with a study graph of empty pipelines."""
    graph = build_study_graph(empty_pipelines(count))
    return dg.Definitions(
        assets=[graph],
        jobs=[dg.define_asset_job("everything", selection=[graph])],
        resources=study_resources(
            registry=RegistryResource(kind="demo", demo_studies=1, demo_subjects=1)
        ),
        executor=dg.in_process_executor,
    )


@dg.asset(partitions_def=studies)
def plain() -> None:
    """Do nothing. Each study has a separate run, as in Dagster by default."""


# For loading by name from a command line: the study graph, which has one run for all studies, or
# a plain asset, which has a run for each study. The plain asset uses Dagster's default executor,
# which starts a process for each step.
defs = (
    dg.Definitions(assets=[plain])
    if os.environ.get("BENCH_LOCATION") == "plain"
    else graph_location(1)
)
