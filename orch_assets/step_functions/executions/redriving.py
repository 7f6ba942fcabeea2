"""Letting an execution that failed go on from the state that failed, where AWS can."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from orch_assets.step_functions.aws_errors import knows_no_such_call, reporting
from orch_assets.step_functions.execution_errors import AwsUnavailableError

_CANNOT = {"ExecutionNotRedrivable", "StateMachineTypeNotSupported", "ValidationException"}
# What AWS describes may be some seconds old.
_LOOKS = 10
_SECONDS_BETWEEN_LOOKS = 0.5


def outdated(client: Any, found: Mapping[str, Any]) -> bool:
    """Tell whether another definition is in force now: a redriven execution keeps its own.

    Args:
        client: of Step Functions.
        found: the execution, as AWS describes it.
    """
    version = found.get("stateMachineVersionArn")
    if alias := found.get("stateMachineAliasArn"):
        with reporting(alias):
            routes = client.describe_state_machine_alias(stateMachineAliasArn=alias)
        return version not in {
            route["stateMachineVersionArn"] for route in routes["routingConfiguration"]
        }
    if version:  # it was asked for that very version
        return False
    machine, execution = found["stateMachineArn"], found["executionArn"]
    with reporting(machine):
        now = client.describe_state_machine(stateMachineArn=machine)
    with reporting(execution):
        then = client.describe_state_machine_for_execution(executionArn=execution)
    return bool(json.loads(now["definition"]) != json.loads(then["definition"]))


def redriven(
    client: Any, found: Mapping[str, Any], *, sleep: Callable[[float], None] = time.sleep
) -> bool:
    """Redrive an execution; tell whether AWS could.

    It returns when AWS shows that the execution goes on: what waits for it then can't take the
    old failure for the new one.

    Args:
        client: of Step Functions, whose calls aren't repeated.
        found: the execution, as AWS describes it.
        sleep: for tests.
    """
    if found.get("redriveStatus", "REDRIVABLE") != "REDRIVABLE":
        return False
    arn = found["executionArn"]
    before = _state_of(found)
    try:
        with reporting(arn):
            client.redrive_execution(executionArn=arn)
    except AwsUnavailableError as error:
        if error.code not in _CANNOT and not knows_no_such_call(error):
            raise
        return _state_of(_described(client, arn)) != before  # somebody else was faster
    for _ in range(_LOOKS):
        if _state_of(_described(client, arn)) != before:
            break
        sleep(_SECONDS_BETWEEN_LOOKS)
    return True


def _described(client: Any, arn: str) -> Mapping[str, Any]:
    with reporting(arn):
        found: Mapping[str, Any] = client.describe_execution(executionArn=arn)
    return found


def _state_of(found: Mapping[str, Any]) -> tuple[str, int]:
    return found["status"], found.get("redriveCount", 0)
