"""Study graphs: study pipelines that belong together, as one multi-asset over all studies."""

from collections.abc import Iterator, Sequence
from typing import Final

import dagster as dg

from orch_assets.defs.automation import still_missing
from orch_assets.defs.graph_run import GraphRun
from orch_assets.defs.partitions import studies
from orch_assets.orchestration.ordering import in_dependency_order
from orch_assets.orchestration.pipeline import StudyPipeline

RESTRICTED_IO_MANAGER: Final = "restricted_io_manager"

# What a run of a study graph needs besides the IO managers of its pipelines.
_RESOURCES: Final = frozenset({"registry", "orchestration", "restricted_store"})


def build_study_graph(
    pipelines: Sequence[StudyPipeline],
    *,
    name: str = "study_graph",
    backfill_policy: dg.BackfillPolicy | None = None,
    pool: str | None = None,
) -> dg.AssetsDefinition:
    """Return one asset per pipeline, partitioned by study, run together in lanes.

    Args:
        pipelines: their upstreams must be among them.
        name: of the graph's op, for the UI and for ``dagster`` on the command line.
        backfill_policy: one run for all studies (the default), or
            ``dg.BackfillPolicy.multi_run(n)`` for runs of n studies each, which a run launcher
            can spread over machines.
        pool: a pool of Dagster's to limit runs of the graph by. None by default: a slot that a
            killed run held is given back by a daemon alone, and commands without one would wait
            for ever.

    Raises:
        PipelineDefinitionError: two pipelines share a name, an upstream is missing, or the
            upstreams form a cycle.
    """
    ordered = in_dependency_order(pipelines)
    keys = {pipeline.name: dg.AssetKey(pipeline.name) for pipeline in ordered}
    io_manager_keys = {RESTRICTED_IO_MANAGER} | {each.io_manager_key for each in ordered}

    @dg.multi_asset(
        name=name,
        specs=[_spec(pipeline, keys) for pipeline in ordered],
        can_subset=True,
        backfill_policy=backfill_policy or dg.BackfillPolicy.single_run(),
        required_resource_keys=set(_RESOURCES | io_manager_keys),
        pool=pool,
    )
    def study_graph(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
        GraphRun(context, ordered, keys).execute()
        yield from ()  # every event was logged; an output would be a second one

    return study_graph


def _spec(pipeline: StudyPipeline, keys: dict[str, dg.AssetKey]) -> dg.AssetSpec:
    spec = dg.AssetSpec(
        keys[pipeline.name],
        deps=[keys[name] for name in pipeline.upstreams],
        # Python's mark-up for code is two backticks, the UI's is one.
        description=pipeline.description and pipeline.description.replace("``", "`"),
        partitions_def=studies,
        group_name=pipeline.group,
        owners=list(pipeline.owners),
        kinds=set(pipeline.kinds),
        tags=dict(pipeline.tags),
        code_version=pipeline.code_version,
        skippable=True,
        automation_condition=None if pipeline.on_request else still_missing(),
    )
    return spec.with_io_manager_key(pipeline.io_manager_key)
