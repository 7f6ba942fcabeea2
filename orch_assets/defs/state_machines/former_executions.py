"""What a run's executions go on from: those that failed in the run that it resumes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import dagster as dg

from orch_assets.defs.state_machines.study_executions import EXECUTION_ARN, Place, StudyExecutions
from orch_assets.orchestration.pipeline import StudyPipeline

_BATCH = 500


def executions_of(
    context: dg.AssetExecutionContext,
    pipelines: Iterable[StudyPipeline],
    keys: Mapping[str, dg.AssetKey],
    studies: Mapping[str, Sequence[str]],
) -> StudyExecutions | None:
    """Return the executions of a run; None where no pipeline has a state machine.

    Args:
        context: the run's.
        pipelines: those that the run selects.
        keys: asset keys, by pipeline.
        studies: those that the run is to run, by pipeline.
    """
    names = {keys[each.name]: each.name for each in pipelines if each.machine is not None}
    if not names:
        return None
    run = context.run
    resumes = run.tags.get("dagster/is_resume_retry") == "true"
    resumed_run = run.parent_run_id if resumes else None
    return StudyExecutions(
        step_functions=context.resources.step_functions,
        run_id=run.run_id,
        resumed_run=resumed_run,
        former=_failed_in(context.instance, resumed_run, names) if resumed_run else {},
        studies=studies,
    )


def _failed_in(
    instance: dg.DagsterInstance, run_id: str, names: Mapping[dg.AssetKey, str]
) -> dict[Place, str]:
    found: dict[Place, str] = {}
    for event in _observations(instance, run_id):
        arn = event.metadata.get(EXECUTION_ARN)
        if event.asset_key in names and event.partition is not None and arn is not None:
            found[names[event.asset_key], event.partition] = str(arn.value)
    return found


def _observations(instance: dg.DagsterInstance, run_id: str) -> Iterator[dg.AssetObservation]:
    cursor = None
    while True:
        page = instance.get_records_for_run(
            run_id, cursor, of_type=dg.DagsterEventType.ASSET_OBSERVATION, limit=_BATCH
        )
        for record in page.records:
            if (event := record.event_log_entry.asset_observation) is not None:
                yield event
        if not page.has_more:
            return
        cursor = page.cursor
