"""The declaration of a state machine that does the work of a study pipeline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orch_assets.errors import PipelineDefinitionError


@dataclass(frozen=True)
class StudyMachine:
    """An AWS Step Functions state machine, for ``@study_pipeline(machine=…)``.

    The pipeline's function returns the input of an execution; the execution's output is the study's
    result.

    Args:
        steps: The steps, in order, such as :class:`~orch_assets.step_functions.PipelineStep`.
        name: Name of the state machine in AWS; the pipeline's name by default.
        comment: Comment of the definition.
        settings: Further parameters of
            :class:`~orch_assets.step_functions.StepFunctionsPipeline`: ``tags``, ``tracing``,
            ``log_group_arn`` and so on.
        studies_at_once: None starts one execution for each study. A number starts one execution for
            all studies of a run, which processes this many studies at a time, at most 40.

    Example:
        >>> from orch_assets import PipelineStep, study_pipeline
        >>> score = PipelineStep("Score", "arn:aws:lambda:us-east-1:123456789012:function:score")
        >>> @study_pipeline(machine=StudyMachine([score]), timeout=3600)
        ... def risk_scores(study_key, sdk, study_logger, subjects):
        ...     return {"study_key": study_key, "subjects": subjects}  # the URI of the table
    """

    steps: Sequence[Any]
    name: str | None = None
    comment: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    studies_at_once: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.steps, Sequence) or not self.steps:
            raise PipelineDefinitionError(
                "A state machine has no steps. Give it a list with at least one step."
            )
        most = 40  # https://docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html
        if self.studies_at_once is not None and self.studies_at_once not in range(1, most + 1):
            raise PipelineDefinitionError(
                f"studies_at_once is {self.studies_at_once}; give a number from 1 to {most}."
            )
