"""Execute EXPRESS machines synchronously, as AWS doesn't retain their executions."""

import json
from typing import Any

from orch_assets.step_functions.aws_errors import reporting
from orch_assets.step_functions.execution_errors import ExecutionFailed, ExecutionInputError


def execute_sync(client: Any, machine_arn: str, name: str, text: str) -> Any:
    """Execute a machine, wait for its end and return its output.

    Args:
        client: boto3 client of Step Functions. It must not retry, as each call is an execution,
            and its read timeout must be over five minutes.
        machine_arn: of a machine, a version or an alias.
        name: valid name of the execution, for the logs; it need not be unique.
        text: the input as JSON.

    Raises:
        ExecutionFailed: with error and cause; AWS doesn't return the state.
        AwsError: the machine doesn't exist, or AWS refuses.
    """
    with reporting(machine_arn):
        execution = client.start_sync_execution(stateMachineArn=machine_arn, name=name, input=text)
    if execution["status"] == "SUCCEEDED":
        return json.loads(execution.get("output") or "null")
    raise ExecutionFailed(
        execution["executionArn"],
        execution["status"],
        error=execution.get("error"),
        cause=execution.get("cause"),
    )


def check_standard(execution: str) -> str:
    """Return the ARN of an execution if it isn't one of an EXPRESS machine.

    Raises:
        ExecutionInputError: it is.
    """
    if ":express:" in execution:
        raise ExecutionInputError(
            "execution",
            "AWS doesn't retain executions of EXPRESS machines. execute_sync() returns the output "
            "or raises the error; the events are in the machine's log group.",
        )
    return execution
