"""A study pipeline that a state machine does: three Lambda functions, one after the other."""

from typing import Any

from orch_assets import PipelineStep, StudyMachine, study_pipeline

_FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function"


@study_pipeline(
    group="safety",
    timeout=600,
    machine=StudyMachine(
        [
            PipelineStep("Count", f"{_FUNCTION}:count"),
            PipelineStep("Rate", f"{_FUNCTION}:rate"),
            PipelineStep("Report", f"{_FUNCTION}:report"),
        ]
    ),
)
def enrollment(study_key: str, sdk: Any, study_logger: Any, subjects: str) -> dict[str, str]:  # noqa: ARG001 - a study pipeline's signature
    """How many subjects of a study are enrolled."""
    return {"study_key": study_key, "subjects": subjects}
