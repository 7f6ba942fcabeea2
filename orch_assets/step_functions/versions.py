"""Versions of a state machine, and the aliases that refer to them."""

import re
from collections.abc import Mapping
from typing import Any

from orch_assets.step_functions.aws_errors import code_of, is_unsupported_call, reporting
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
    """Return the version of the deployed definition; publish it if it has none yet.

    Args:
        client: boto3 client of Step Functions that doesn't retry.
        machine_arn: without a version or an alias.

    Returns:
        The version's ARN; None if the server doesn't support versions.
    """
    try:
        with reporting(machine_arn):
            answer = client.publish_state_machine_version(stateMachineArn=machine_arn)
    except AwsUnavailableError as error:
        if is_unsupported_call(error):
            return None
        raise
    return str(answer["stateMachineVersionArn"])


def point(client: Any, machine_arn: str, alias: str, routes: Mapping[str, int]) -> str:
    """Create an alias, or update its versions; return its ARN.

    Args:
        client: boto3 client of Step Functions.
        machine_arn: without a version or an alias.
        alias: its name.
        routes: ARNs of versions, each with its percentage of executions.

    Raises:
        DefinitionError: the name or the routes are invalid.
        AwsError: a version doesn't exist, or AWS refuses.
    """
    _check(machine_arn, alias, routes)
    arn = f"{machine_arn}:{alias}"
    desired = [{"stateMachineVersionArn": v, "weight": percent} for v, percent in routes.items()]
    try:
        with reporting(arn):
            current = client.describe_state_machine_alias(stateMachineAliasArn=arn)
    except StateMachineNotFoundError:
        if _created(client, arn, alias, desired):
            return arn
        current = {"routingConfiguration": []}  # somebody else created it first
    if _weights(current["routingConfiguration"]) != _weights(desired):
        with reporting(arn):
            client.update_state_machine_alias(
                stateMachineAliasArn=arn, routingConfiguration=desired
            )
    return arn


def _created(client: Any, arn: str, alias: str, routes: list[dict[str, Any]]) -> bool:
    """Create an alias; return False if somebody else created it first."""
    with reporting(arn):
        from botocore.exceptions import ClientError

        try:
            client.create_state_machine_alias(name=alias, routingConfiguration=routes)
        except ClientError as error:
            if code_of(error) != "ConflictException":
                raise
            return False
    return True


def _check(machine_arn: str, alias: str, routes: Mapping[str, int]) -> None:
    if not isinstance(alias, str) or not _ALIAS.fullmatch(alias):
        raise DefinitionError(
            None, "alias", "must be letters, digits, -, _ and ., at most 80, and not only digits."
        )
    if not 1 <= len(routes) <= _MOST_VERSIONS or sum(routes.values()) != _ALL:
        raise DefinitionError(
            None, "alias", "needs one version, or two whose percentages make 100."
        )
    for version, percent in routes.items():
        if version.rpartition(":")[0] != machine_arn:
            raise DefinitionError(None, "alias", f"{version} is not a version of this machine.")
        if not isinstance(percent, int) or percent < 0:
            raise DefinitionError(None, "alias", "percentages must be whole numbers from 0 to 100.")


def _weights(routes: list[dict[str, Any]]) -> dict[str, int]:
    return {route["stateMachineVersionArn"]: route["weight"] for route in routes}
