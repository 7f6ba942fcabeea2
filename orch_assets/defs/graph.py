"""Study graphs: study pipelines that run together, as one multi-asset over all studies."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import dagster as dg

from orch_assets.defs.automation import still_missing
from orch_assets.defs.checks import blinding_check as blinding
from orch_assets.defs.checks import drift_check as drift
from orch_assets.defs.checks.reconciliation_check import check_spec
from orch_assets.defs.events import COLUMN_SCHEMA
from orch_assets.defs.partitions import studies
from orch_assets.defs.runs.interrupts import ctrl_c_cancels
from orch_assets.defs.settings.config_schema import config_schema, note_pipelines
from orch_assets.defs.settings.run_settings import SettingSources
from orch_assets.defs.state_machines.deployments import build_deployments, deployment_key, takes_all
from orch_assets.orchestration.ordering import by_different_names, in_dependency_order
from orch_assets.orchestration.pipeline import StudyPipeline

RESTRICTED_IO_MANAGER: Final = "restricted_io_manager"

# A tag of the op of a study graph, by which it is found in the definitions of a code location.
_IS_STUDY_GRAPH: Final = "orch_assets/study_graph"

# Resources that a run of a study graph requires besides the IO managers of its pipelines.
_RESOURCES: Final = frozenset({"registry", "orchestration", "restricted_store"})


def build_study_graph(
    pipelines: Sequence[StudyPipeline],
    *,
    name: str = "study_graph",
    backfill_policy: dg.BackfillPolicy | None = None,
    pool: str | None = None,
    settings: SettingSources | None = None,
) -> dg.AssetsDefinition:
    """Return a multi-asset with one asset per pipeline, partitioned by study and run in lanes.

    Args:
        pipelines: The pipelines, including all their upstreams. Those that belong to
            :func:`build_together_graphs` are left out.
        name: Name of the graph's op, for the UI and the ``dagster`` command line.
        backfill_policy: One run for all studies (the default), or
            ``dg.BackfillPolicy.multi_run(n)`` for runs of n studies each, which a run launcher
            can distribute over machines.
        pool: A Dagster pool that limits the runs of the graph; None by default. Only a daemon
            frees the slot of a killed run, so commands without a daemon would wait forever.
        settings: Settings of the pipelines for single studies; None for none.

    Raises:
        PipelineDefinitionError: Two pipelines share a name or have names that differ only in case,
            an upstream is missing, or the upstreams form a cycle.
    """
    by_different_names(pipelines)  # also checks those that are left out below
    # Pipelines with a state machine come last, so that others needn't wait for an execution.
    lanes = sorted(pipelines, key=lambda each: each.machine is not None)
    ordered = in_dependency_order(each for each in lanes if not takes_all(each))
    built = _Built(pipelines, settings or SettingSources(), backfill_policy, pool)
    return _graph(ordered, name, built)


def build_together_graphs(
    pipelines: Sequence[StudyPipeline],
    *,
    backfill_policy: dg.BackfillPolicy | None = None,
    settings: SettingSources | None = None,
) -> list[dg.AssetsDefinition]:
    """Return an asset for each pipeline that has one execution for all studies of a run.

    Its inputs are results of an earlier run of the study graph. In the same run, Dagster would skip
    it for all studies if the graph failed for one.

    Args:
        pipelines: All pipelines. Only those whose state machine has ``studies_at_once`` are used.
        backfill_policy: See :func:`build_study_graph`.
        settings: See :func:`build_study_graph`.
    """
    shared = [each for each in pipelines if takes_all(each)]
    built = _Built(pipelines, settings or SettingSources(), backfill_policy)
    return [_graph([each], f"{each.name}_graph", built) for each in shared]


def check_buildable(pipeline: StudyPipeline) -> None:
    """Check that a pipeline's definitions can be built, without its upstreams.

    Raises:
        Exception: Dagster, or a check of the state machine, rejects a definition.
    """
    alone = replace(pipeline, upstreams=())
    _graph([alone], f"{pipeline.name}_graph", _Built([alone], SettingSources()))
    build_deployments([alone])


def is_study_graph(asset: dg.AssetsDefinition) -> bool:
    """Return whether an asset definition is a study graph."""
    return asset.is_executable and _IS_STUDY_GRAPH in asset.op.tags


def runs_on_request(pipeline: StudyPipeline) -> bool:
    """Return whether jobs, schedules and automation leave a pipeline out."""
    return pipeline.on_request or takes_all(pipeline)


@dataclass(frozen=True)
class _Built:
    """What the graphs of a code location have in common."""

    pipelines: Sequence[StudyPipeline]
    settings: SettingSources
    backfill_policy: dg.BackfillPolicy | None = None
    pool: str | None = None


def _graph(ordered: Sequence[StudyPipeline], name: str, built: _Built) -> dg.AssetsDefinition:
    names = {name for each in ordered for name in (each.name, *each.upstreams)}
    keys = {name: dg.AssetKey(name) for name in names}
    resource_keys = _RESOURCES | {RESTRICTED_IO_MANAGER} | {e.io_manager_key for e in ordered}
    resource_keys |= {key for each in ordered for key in each.resources}
    if any(each.machine is not None for each in ordered):
        resource_keys |= {"step_functions"}
    checks = [check_spec(keys[each.name]) for each in ordered if each.reconciled]
    if any(each.name == drift.VARIABLES for each in ordered):
        variables = keys[drift.VARIABLES]
        checks += [blinding.check_spec(variables), drift.check_spec(variables)]
    outputs = {check.key: check.get_python_identifier() for check in checks}

    @dg.multi_asset(
        name=name,
        specs=[_spec(pipeline, keys) for pipeline in ordered],
        check_specs=checks,
        can_subset=True,
        backfill_policy=built.backfill_policy or dg.BackfillPolicy.single_run(),
        required_resource_keys=set(resource_keys),
        pool=built.pool,
        config_schema=config_schema(ordered),
        op_tags={_IS_STUDY_GRAPH: "true"},
    )
    def study_graph(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
        from orch_assets.defs.graph_run import GraphRun  # only a run needs it

        with ctrl_c_cancels(context.instance, context.run):
            GraphRun(context, ordered, keys, built.pipelines, built.settings).execute()
        # All events are logged already, and the output of an asset would log a second one. So only
        # the outputs of checks are yielded, which Dagster expects.
        for check in context.selected_asset_check_keys:
            yield dg.Output(None, outputs[check])

    note_pipelines(study_graph.op, ordered)
    return study_graph


def _spec(pipeline: StudyPipeline, keys: dict[str, dg.AssetKey]) -> dg.AssetSpec:
    spec = dg.AssetSpec(
        keys[pipeline.name],
        deps=[
            *(keys[name] for name in pipeline.upstreams),
            *([deployment_key(pipeline)] if pipeline.machine is not None else []),
        ],
        # Docstrings mark code with two backticks, the UI with one.
        description=pipeline.description and pipeline.description.replace("``", "`"),
        partitions_def=studies,
        group_name=pipeline.group,
        owners=list(pipeline.owners),
        kinds=set(pipeline.kinds),
        tags=dict(pipeline.tags),
        code_version=pipeline.code_version,
        skippable=True,
        metadata=_column_schema(pipeline),
        automation_condition=None if runs_on_request(pipeline) else still_missing(),
    )
    return spec.with_io_manager_key(pipeline.io_manager_key)


def _column_schema(pipeline: StudyPipeline) -> dict[str, dg.TableSchema]:
    """Return the columns for the catalogue; empty if they differ between studies."""
    columns = [
        dg.TableColumn(each.name, type=each.type, description=each.description)
        for each in pipeline.columns
    ]
    return {COLUMN_SCHEMA: dg.TableSchema(columns)} if columns else {}
