"""The failures in a matrix, and their causes."""

from collections.abc import Iterable

from orch_assets.orchestration.reporting.failure_summary import (
    Cause,
    FailedStep,
    causes_of,
    missing_for_upstream,
)
from orch_assets.orchestration.reporting.matrix import MatrixEntry
from orch_assets.orchestration.reporting.results import FAILED, Failure


def step_of(entry: MatrixEntry) -> FailedStep:
    """Return the failed step that a failed result records."""
    cause = Failure.from_loggable(entry.error or "")
    return FailedStep(
        entry.study_key,
        entry.pipeline,
        cause,
        entry.failure_report,
        entry.finished_at.timestamp(),
        entry.run_id,
    )


def causes_of_entries(entries: Iterable[MatrixEntry]) -> tuple[list[Cause], list[str]]:
    """Return the causes of all failures in a matrix, and what is missing because of them.

    The failures of a cause are in the order of their events. The second list has no sentence, or
    one that counts the results whose upstream failed.
    """
    failed = sorted((e for e in entries if e.status == FAILED), key=lambda entry: entry.event_id)
    steps = [step_of(entry) for entry in failed]
    upstream = sum(step.is_consequence for step in steps)
    return causes_of(steps), [missing_for_upstream(upstream)] if upstream else []
