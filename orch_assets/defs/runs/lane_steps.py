"""Pipelines as the steps of a run's lanes."""

from functools import partial
from typing import Final

from orch_assets.errors import TableChangedError
from orch_assets.orchestration.pipeline import StudyPipeline
from orch_assets.orchestration.reporting.results import describe_failure
from orch_assets.orchestration.steps import LaneStep

# Retries of a table whose rows changed while it was read.
_CHANGED_TABLE_RETRIES: Final = 2


def lane_step(pipeline: StudyPipeline, *, made_up: bool) -> LaneStep:
    """Return the step for a pipeline.

    Args:
        pipeline: The pipeline.
        made_up: Whether the data is the simulator's, so that logs may show all of it.
    """
    return LaneStep(
        pipeline.name,
        upstreams=pipeline.upstreams,
        timeout=pipeline.timeout,
        retries=max(pipeline.retries, _CHANGED_TABLE_RETRIES if pipeline.reconciled else 0),
        retry_on=(*pipeline.retry_on, *((TableChangedError,) if pipeline.reconciled else ())),
        is_async=pipeline.is_async,
        takes=pipeline.taken,
        optional=pipeline.optional,
        studies=tuple(pipeline.studies),
        describe=partial(describe_failure, function=pipeline.function, show_all=made_up),
    )
