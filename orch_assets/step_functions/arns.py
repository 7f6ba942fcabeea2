"""Amazon resource names (ARNs) that state machines use."""

import re
from typing import NamedTuple

# An account number has 12 digits. Like AWS, we check this only at deployment: a definition that is
# only shown or reviewed may hold a made-up number, such as the 123456789 of many examples.
_PARTITION = r"arn:(?P<partition>aws[a-z-]*)"
_ROLE = re.compile(_PARTITION + r":iam::(?P<account>\d{12}):role/[\w+=,.@/-]{1,576}")
_LAMBDA = re.compile(
    _PARTITION
    + r":lambda:[a-z0-9-]+:\d+:function:[A-Za-z0-9_-]{1,140}(:(\$LATEST|[A-Za-z0-9_-]+))?"
)
_ACTIVITY = re.compile(_PARTITION + r":states:[a-z0-9-]+:\d+:activity:[A-Za-z0-9_-]{1,80}")
_INTEGRATION = re.compile(
    _PARTITION + r":states:(?:[a-z0-9-]*):(?:\d+)?:(?P<action>(aws-sdk:)?[a-z0-9-]+:[A-Za-z0-9]+"
    r"(\.sync(:2)?|\.waitForTaskToken)?)"
)
_MACHINE = re.compile(
    _PARTITION
    + r":states:[a-z0-9-]+:\d+:stateMachine:(?P<name>[A-Za-z0-9_-]{1,80})"
    + r"(:(?P<qualifier>[\w.-]+))?"
)


class Resource(NamedTuple):
    """The resource that a task calls.

    Attributes:
        kind: ``lambda``, ``activity`` or ``integration``.
        action: of an integration, such as ``ecs:runTask.sync``; otherwise "".
    """

    kind: str
    action: str = ""


def resource_of(arn: object) -> Resource | None:
    """Return the resource that an ARN names; None if no task can call it."""
    if not isinstance(arn, str):
        return None
    if _LAMBDA.fullmatch(arn):
        return Resource("lambda")
    if _ACTIVITY.fullmatch(arn):
        return Resource("activity")
    if match := _INTEGRATION.fullmatch(arn):
        return Resource("integration", match["action"])
    return None


def takes_any_input(arn: object) -> bool:
    """Return whether the resource is the user's own code, which accepts any JSON."""
    resource = resource_of(arn)
    return resource is not None and resource.kind != "integration"


def role_account(arn: object) -> str | None:
    """Return the account in the ARN of an IAM role; None if it isn't one."""
    match = _ROLE.fullmatch(arn) if isinstance(arn, str) else None
    return match["account"] if match else None


def machine_name(arn: str) -> str | None:
    """Return the name in the ARN of a state machine, version or alias; None if it isn't one."""
    match = _MACHINE.fullmatch(arn)
    return match["name"] if match else None


def is_qualified(arn: str) -> bool:
    """Return whether an ARN names a version or an alias."""
    match = _MACHINE.fullmatch(arn)
    return match is not None and match["qualifier"] is not None


def has_wrong_account(arn: str) -> bool:
    """Return whether the account number in an ARN doesn't have 12 digits."""
    parts = arn.split(":")
    account = parts[4] if len(parts) > 5 and parts[0] == "arn" else ""  # noqa: PLR2004 - arn:aws:service:region:account:…
    return account.isdigit() and len(account) != 12  # noqa: PLR2004 - digits of an account number
