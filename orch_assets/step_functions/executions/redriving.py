"""Redrive failed executions: AWS continues them from the state that failed."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from orch_assets.step_functions.aws_errors import is_unsupported_call, reporting
from orch_assets.step_functions.execution_errors import AwsUnavailableError

_NOT_REDRIVABLE = {"ExecutionNotRedrivable", "StateMachineTypeNotSupported", "ValidationException"}
# AWS's description of an execution may be some seconds old.
_CHECKS = 10
_SECONDS_BETWEEN_CHECKS = 0.5


def is_outdated(client: Any, execution: Mapping[str, Any]) -> bool:
    """Return whether another definition has been deployed since an execution started.

    Redriving would continue with the old definition.

    Args:
        client: boto3 client of Step Functions.
        execution: as AWS describes it.
    """
    version = execution.get("stateMachineVersionArn")
    if alias := execution.get("stateMachineAliasArn"):
        with reporting(alias):
            routes = client.describe_state_machine_alias(stateMachineAliasArn=alias)
        return version not in {
            route["stateMachineVersionArn"] for route in routes["routingConfiguration"]
        }
    if version:  # the caller chose this version
        return False
    machine, arn = execution["stateMachineArn"], execution["executionArn"]
    with reporting(machine):
        current = client.describe_state_machine(stateMachineArn=machine)
    with reporting(arn):
        used = client.describe_state_machine_for_execution(executionArn=arn)
    return bool(json.loads(current["definition"]) != json.loads(used["definition"]))


def try_redrive(
    client: Any, execution: Mapping[str, Any], *, sleep: Callable[[float], None] = time.sleep
) -> bool:
    """Redrive an execution; return whether that was possible.

    This returns only when AWS shows that the execution continues. Otherwise a caller that waits
    for it could take the old failure for the new outcome.

    Args:
        client: boto3 client of Step Functions that doesn't retry.
        execution: as AWS describes it.
        sleep: for tests.
    """
    if execution.get("redriveStatus", "REDRIVABLE") != "REDRIVABLE":
        return False
    arn = execution["executionArn"]
    before = _status_of(execution)
    try:
        with reporting(arn):
            client.redrive_execution(executionArn=arn)
    except AwsUnavailableError as error:
        if error.code not in _NOT_REDRIVABLE and not is_unsupported_call(error):
            raise
        return _status_of(_described(client, arn)) != before  # somebody else redrove it first
    for _ in range(_CHECKS):
        if _status_of(_described(client, arn)) != before:
            break
        sleep(_SECONDS_BETWEEN_CHECKS)
    return True


def _described(client: Any, arn: str) -> Mapping[str, Any]:
    with reporting(arn):
        execution: Mapping[str, Any] = client.describe_execution(executionArn=arn)
    return execution


def _status_of(execution: Mapping[str, Any]) -> tuple[str, int]:
    return execution["status"], execution.get("redriveCount", 0)
