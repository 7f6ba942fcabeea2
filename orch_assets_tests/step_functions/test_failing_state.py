"""Which state an execution ended in, by its history alone, whatever order that was written in."""

import pytest

from orch_assets.step_functions.executions.history import failing_state

ARN = "arn:aws:states:us-east-1:123456789012:execution:machine:a-run"
TASK = [(0, "TaskStateEntered", "Load"), (1, "TaskScheduled", None)]
BOTH = [(0, "ParallelStateEntered", "Both"), (1, "ParallelStateStarted", None)]
CAUGHT = [*TASK, (2, "TaskFailed", None), (3, "TaskStateExited", "Load")]

# Each event: what led to it, its type, the state it enters or leaves. They count from 1.
HISTORIES = {
    "a task": (
        [*TASK, (2, "TaskFailed", None), (3, "ExecutionFailed", None)],
        "Load",
    ),
    "a task that was tried again": (
        [*TASK, (2, "TaskTimedOut", None), (3, "TaskScheduled", None),
         (4, "TaskFailed", None), (5, "ExecutionFailed", None)],
        "Load",
    ),
    "a branch, the other one before it": (
        [*BOTH, (2, "PassStateEntered", "Good"), (3, "PassStateExited", "Good"),
         (2, "FailStateEntered", "Bad"), (5, "ParallelStateFailed", None),
         (6, "ExecutionFailed", None)],
        "Bad",
    ),
    "a branch, the other one after it": (
        [*BOTH, (2, "FailStateEntered", "Bad"), (2, "PassStateEntered", "Good"),
         (4, "PassStateExited", "Good"), (5, "ParallelStateFailed", None),
         (6, "ExecutionFailed", None)],
        "Bad",
    ),
    "a branch, the other one retried and caught a failure after it": (
        [*BOTH, (2, "TaskStateEntered", "Bad"), (3, "TaskFailed", None),
         (2, "TaskStateEntered", "Good"), (5, "TaskFailed", None), (6, "TaskScheduled", None),
         (7, "TaskFailed", None), (8, "TaskStateExited", "Good"),
         (9, "ParallelStateFailed", None), (10, "ExecutionFailed", None)],
        "Bad",
    ),
    "a branch of a branch": (
        [*BOTH, (2, "ParallelStateEntered", "Inner"), (3, "ParallelStateStarted", None),
         (4, "FailStateEntered", "Bad"), (4, "PassStateEntered", "Good"),
         (6, "ParallelStateFailed", None), (2, "PassStateEntered", "Other"),
         (8, "ParallelStateFailed", None), (9, "ExecutionFailed", None)],
        "Bad",
    ),
    "an iteration, another one after it": (
        [(0, "MapStateEntered", "Each"), (1, "MapStateStarted", None),
         (2, "MapIterationStarted", None), (2, "MapIterationStarted", None),
         (3, "TaskStateEntered", "Load"), (5, "LambdaFunctionFailed", None),
         (4, "PassStateEntered", "Good"), (6, "MapIterationFailed", None),
         (7, "MapStateFailed", None), (9, "ExecutionFailed", None)],
        "Load",
    ),
    "after a failure that was caught": (
        [*CAUGHT, (4, "PassStateEntered", "Report"), (5, "ExecutionFailed", None)],
        "Report",
    ),
    "several branches that were caught, then a state by itself": (
        [*BOTH, (2, "FailStateEntered", "Bad"), (3, "ParallelStateFailed", None),
         (4, "ParallelStateExited", "Both"), (5, "PassStateEntered", "Report"),
         (6, "ExecutionFailed", None)],
        "Report",
    ),
    "a failure that was caught, then branches of which none failed": (
        [*CAUGHT, (4, "ParallelStateEntered", "Both"), (5, "ParallelStateStarted", None),
         (6, "PassStateEntered", "Good"), (7, "ParallelStateFailed", None),
         (8, "ExecutionFailed", None)],
        "Good",
    ),
    "a time limit of the execution": ([*TASK, (2, "ExecutionTimedOut", None)], "Load"),
    "no state": ([(0, "ExecutionStarted", None), (1, "ExecutionFailed", None)], None),
}  # fmt: skip


@pytest.mark.parametrize("page_size", [1, 3, 1000])
@pytest.mark.parametrize("history", HISTORIES)
def test_the_state_that_failed_is_found(history, page_size, aws):
    events, expected = HISTORIES[history]
    described = [
        {"id": number, "previousEventId": previous, "type": type_, "timestamp": 0}
        | ({f"state{type_[-7:]}EventDetails": {"name": state}} if state else {})
        for number, (previous, type_, state) in enumerate(events, 1)
    ]

    def page(request):
        assert request["reverseOrder"]
        start = int(request.get("nextToken", 0))
        more = {"nextToken": str(start + page_size)} if start + page_size < len(events) else {}
        return {"events": described[::-1][start : start + page_size], **more}

    aws.answers["GetExecutionHistory"] = page
    assert failing_state(aws.client("stepfunctions"), ARN) == expected
