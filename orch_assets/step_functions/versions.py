"""Versions of a state machine, and the aliases that show them."""

import re
from collections.abc import Mapping
from typing import Any

from orch_assets.step_functions.aws_errors import code_of, knows_no_such_call, reporting
from orch_assets.step_functions.execution_errors import (
    AwsUnavailableError,
    DefinitionError,
    StateMachineNotFoundError,
)

# https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachineAlias.html
_ALIAS = re.compile(r"(?=.*[a-zA-Z_\-.])[a-zA-Z0-9_\-.]{1,80}")
_MOST_VERSIONS = 2
_ALL = 100


def published(client: Any, machine_arn: str) -> str | None:
    """Return the version of what is deployed, published now if it wasn't yet.

    Args:
        client: of Step Functions, which doesn't repeat calls.
        machine_arn: without a version or an alias.

    Returns:
        Its ARN; None where the server has no versions.
    """
    try:
        with reporting(machine_arn):
            answer = client.publish_state_machine_version(stateMachineArn=machine_arn)
    except AwsUnavailableError as error:
        if knows_no_such_call(error):
            return None
        raise
    return str(answer["stateMachineVersionArn"])


def point(client: Any, machine_arn: str, alias: str, routes: Mapping[str, int]) -> str:
    """Let an alias show versions, and make it if it isn't there; return its ARN.

    Args:
        client: of Step Functions.
        machine_arn: without a version or an alias.
        alias: its name.
        routes: versions' ARNs, each with the percentage of executions that it gets.

    Raises:
        DefinitionError: no alias can be called so, or show that.
        AwsError: a version isn't there, or AWS refuses.
    """
    _check(machine_arn, alias, routes)
    arn = f"{machine_arn}:{alias}"
    wanted = [{"stateMachineVersionArn": v, "weight": percent} for v, percent in routes.items()]
    try:
        with reporting(arn):
            found = client.describe_state_machine_alias(stateMachineAliasArn=arn)
    except StateMachineNotFoundError:
        if _created(client, arn, alias, wanted):
            return arn
        found = {"routingConfiguration": []}  # somebody else was faster
    if _shown(found["routingConfiguration"]) != _shown(wanted):
        with reporting(arn):
            client.update_state_machine_alias(stateMachineAliasArn=arn, routingConfiguration=wanted)
    return arn


def _created(client: Any, arn: str, alias: str, wanted: list[dict[str, Any]]) -> bool:
    with reporting(arn):
        from botocore.exceptions import ClientError

        try:
            client.create_state_machine_alias(name=alias, routingConfiguration=wanted)
        except ClientError as error:
            if code_of(error) != "ConflictException":
                raise
            return False
    return True


def _check(machine_arn: str, alias: str, routes: Mapping[str, int]) -> None:
    if not isinstance(alias, str) or not _ALIAS.fullmatch(alias):
        raise DefinitionError(
            None, "alias", "must be letters, digits, -, _ and ., at most 80, and no mere number."
        )
    if not 1 <= len(routes) <= _MOST_VERSIONS or sum(routes.values()) != _ALL:
        raise DefinitionError(
            None, "alias", "must show one version, or two with percentages that make 100."
        )
    for version, percent in routes.items():
        if version.rpartition(":")[0] != machine_arn:
            raise DefinitionError(None, "alias", f"{version} is no version of this machine.")
        if not isinstance(percent, int) or percent < 0:
            raise DefinitionError(None, "alias", "a percentage is a whole number from 0 to 100.")


def _shown(routes: list[dict[str, Any]]) -> dict[str, int]:
    return {route["stateMachineVersionArn"]: route["weight"] for route in routes}
