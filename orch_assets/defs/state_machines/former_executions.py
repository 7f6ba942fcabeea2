"""The failed executions of an earlier run, which a resumed run continues."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import dagster as dg

from orch_assets.defs.state_machines.study_executions import (
    EXECUTION_ARN,
    StudyExecutions,
    StudyOfPipeline,
)
from orch_assets.orchestration.pipeline import StudyPipeline

_BATCH = 500


def executions_of(
    context: dg.AssetExecutionContext,
    pipelines: Iterable[StudyPipeline],
    keys: Mapping[str, dg.AssetKey],
    studies: Mapping[str, Sequence[str]],
) -> StudyExecutions | None:
    """Return the executions of a run; None if no pipeline has a state machine.

    Args:
        context: of the run.
        pipelines: that the run selects.
        keys: asset keys by name of the pipeline.
        studies: keys of the run's studies by name of the pipeline.
    """
    names = {keys[p.name]: p.name for p in pipelines if p.machine is not None}
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
) -> dict[StudyOfPipeline, str]:
    """Return the ARNs of the executions that failed in a run."""
    arns: dict[StudyOfPipeline, str] = {}
    for event in _observations(instance, run_id):
        arn = event.metadata.get(EXECUTION_ARN)
        if event.asset_key in names and event.partition is not None and arn is not None:
            arns[names[event.asset_key], event.partition] = str(arn.value)
    return arns


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
