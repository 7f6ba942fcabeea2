"""Executing EXPRESS machines: by synchronous calls only, as AWS keeps none of their executions."""

import json
from typing import Any

from orch_assets.step_functions.aws_errors import reporting
from orch_assets.step_functions.execution_errors import ExecutionFailed, ExecutionInputError


def execute_sync(client: Any, machine_arn: str, name: str, text: str) -> Any:
    """Execute a machine and wait for its end; return its output.

    Args:
        client: of Step Functions, which doesn't repeat calls and waits for five minutes: each
            call is an execution.
        machine_arn: of a machine, a version or an alias.
        name: checked. For the reader of the logs: AWS takes it twice.
        text: the input as JSON.

    Raises:
        ExecutionFailed: with error and cause; AWS doesn't say in which state.
        AwsError: the machine isn't there, or AWS refuses.
    """
    with reporting(machine_arn):
        found = client.start_sync_execution(stateMachineArn=machine_arn, name=name, input=text)
    if found["status"] == "SUCCEEDED":
        return json.loads(found.get("output") or "null")
    raise ExecutionFailed(
        found["executionArn"],
        found["status"],
        error=found.get("error"),
        cause=found.get("cause"),
    )


def kept(execution: str) -> str:
    """Return the ARN of an execution that AWS keeps.

    Raises:
        ExecutionInputError: it is one of an EXPRESS machine.
    """
    if ":express:" in execution:
        raise ExecutionInputError(
            "execution",
            "AWS keeps none of an EXPRESS machine. execute_sync() gives its output or its error; "
            "what happened in it is in the machine's log group.",
        )
    return execution
