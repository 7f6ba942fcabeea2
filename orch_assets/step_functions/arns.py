"""Amazon's resource names, as far as state machines use them."""

import re
from typing import NamedTuple

# An account number has 12 digits. AWS says so at the deployment, and so do we, but not before: what
# is shown and reviewed may well hold a made-up one, such as the 123456789 of many examples.
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
    """What a task calls.

    Attributes:
        kind: ``lambda``, ``activity`` or ``integration``.
        action: of an integration, such as ``ecs:runTask.sync``; else "".
    """

    kind: str
    action: str = ""


def resource_of(arn: object) -> Resource | None:
    """Return what a task's resource is; None where it is nothing that a task can call."""
    if not isinstance(arn, str):
        return None
    if _LAMBDA.fullmatch(arn):
        return Resource("lambda")
    if _ACTIVITY.fullmatch(arn):
        return Resource("activity")
    if found := _INTEGRATION.fullmatch(arn):
        return Resource("integration", found["action"])
    return None


def takes_any_input(arn: object) -> bool:
    """Tell whether the resource is the user's own code, which reads whatever JSON arrives."""
    found = resource_of(arn)
    return found is not None and found.kind != "integration"


def role_account(arn: object) -> str | None:
    """Return the account of an IAM role's ARN; None where it is none."""
    found = _ROLE.fullmatch(arn) if isinstance(arn, str) else None
    return found["account"] if found else None


def machine_name(arn: str) -> str | None:
    """Return the name in a state machine's (version's, alias's) ARN; None where it is none."""
    found = _MACHINE.fullmatch(arn)
    return found["name"] if found else None


def is_qualified(arn: str) -> bool:
    """Tell whether an ARN is a version's or an alias's."""
    found = _MACHINE.fullmatch(arn)
    return found is not None and found["qualifier"] is not None


def wrong_account(arn: str) -> bool:
    """Tell whether what is wrong with an ARN is the length of its account number."""
    parts = arn.split(":")
    account = parts[4] if len(parts) > 5 and parts[0] == "arn" else ""  # noqa: PLR2004 - arn:aws:service:region:account:…
    return account.isdigit() and len(account) != 12  # noqa: PLR2004 - an account number's length
