"""What a state machine shall be, and what it is, in a form that can be compared."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orch_assets.step_functions.execution_errors import DefinitionError

# On everything that we made. What lacks it is somebody else's.
OWNER_TAG = "orch-assets:owner"
OWNER = "orch-assets"

_LOG_LEVELS = ("ALL", "ERROR", "FATAL")


@dataclass(frozen=True)
class DesiredState:
    """What a state machine shall be.

    Attributes:
        definition: in Amazon States Language, checked.
        role_arn: what it runs as.
        configuration: ``loggingConfiguration``, ``tracingConfiguration`` and
            ``encryptionConfiguration``, all three, as Step Functions has them.
        tags: without ours.
        machine_type: ``STANDARD`` or ``EXPRESS``.
    """

    definition: Mapping[str, Any]
    role_arn: str
    configuration: Mapping[str, Any]
    tags: Mapping[str, str]
    machine_type: str = "STANDARD"

    @property
    def all_tags(self) -> dict[str, str]:
        """The tags with ours."""
        return {**self.tags, OWNER_TAG: OWNER}

    def lines(self) -> list[str]:
        """Return all of it but the tags as lines, to be compared."""
        return _lines(self.definition, self.role_arn, self.machine_type, self.configuration)


def configuration(
    log_group_arn: str | None, log_level: str, kms_key: str | None, *, tracing: bool
) -> dict[str, Any]:
    """Return a machine's configuration as Step Functions has it.

    What executions take in and put out is never logged: it may be data of a study.

    Raises:
        DefinitionError: there is no such level.
    """
    if log_level not in _LOG_LEVELS:
        raise DefinitionError(None, "log_level", f"must be one of {', '.join(_LOG_LEVELS)}.")
    logs: dict[str, Any] = {"level": "OFF", "includeExecutionData": False}
    if log_group_arn:
        group = log_group_arn.removesuffix(":*") + ":*"
        logs["level"] = log_level
        logs["destinations"] = [{"cloudWatchLogsLogGroup": {"logGroupArn": group}}]
    key: dict[str, Any] = {"type": "AWS_OWNED_KEY"}
    if kms_key:
        key = {"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": kms_key}
    return {
        "loggingConfiguration": logs,
        "tracingConfiguration": {"enabled": tracing},
        "encryptionConfiguration": key,
    }


def lines_of(found: Mapping[str, Any]) -> list[str]:
    """Return what a machine is, as AWS describes it, as lines to be compared."""
    logs = found.get("loggingConfiguration") or {"level": "OFF"}
    key = found.get("encryptionConfiguration") or {"type": "AWS_OWNED_KEY"}
    settings = {
        "loggingConfiguration": {"includeExecutionData": False, **logs},
        "tracingConfiguration": found.get("tracingConfiguration") or {"enabled": False},
        "encryptionConfiguration": {k: v for k, v in key.items() if k in {"type", "kmsKeyId"}},
    }
    return _lines(json.loads(found["definition"]), found["roleArn"], type_of(found), settings)


def type_of(found: Mapping[str, Any]) -> str:
    """Return the type of a machine, as AWS describes it."""
    return str(found.get("type") or "STANDARD")


def _lines(
    definition: Mapping[str, Any], role_arn: str, machine_type: str, settings: Mapping[str, Any]
) -> list[str]:
    logs = {k: v for k, v in settings["loggingConfiguration"].items() if v != []}
    whole = {
        "definition": definition,
        "roleArn": role_arn,
        "type": machine_type,
        **settings,
        "loggingConfiguration": logs,
    }
    return json.dumps(whole, indent=2, sort_keys=True).splitlines()
