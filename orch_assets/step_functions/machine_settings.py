"""Desired and actual state of a state machine, as lines that can be compared."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orch_assets.step_functions.execution_errors import DefinitionError

# We tag every machine that we create. One without this tag belongs to somebody else.
OWNER_TAG = "orch-assets:owner"
OWNER = "orch-assets"

_LOG_LEVELS = ("ALL", "ERROR", "FATAL")


@dataclass(frozen=True)
class DesiredState:
    """The desired state of a state machine.

    Attributes:
        definition: in Amazon States Language, checked.
        role_arn: the role that it runs as.
        configuration: ``loggingConfiguration``, ``tracingConfiguration`` and
            ``encryptionConfiguration`` in the form of the API; all three are set.
        tags: without our ownership tag.
        machine_type: ``STANDARD`` or ``EXPRESS``.
    """

    definition: Mapping[str, Any]
    role_arn: str
    configuration: Mapping[str, Any]
    tags: Mapping[str, str]
    machine_type: str = "STANDARD"

    @property
    def all_tags(self) -> dict[str, str]:
        """The tags, including our ownership tag."""
        return {**self.tags, OWNER_TAG: OWNER}

    def lines(self) -> list[str]:
        """Return everything but the tags as lines for a comparison."""
        return _lines(self.definition, self.role_arn, self.machine_type, self.configuration)


def configuration(
    log_group_arn: str | None, log_level: str, kms_key: str | None, *, tracing: bool
) -> dict[str, Any]:
    """Return a machine's configuration in the form of the API.

    Inputs and outputs of executions are never logged, as they may be data of a study.

    Raises:
        DefinitionError: the level doesn't exist.
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


def lines_of(machine: Mapping[str, Any]) -> list[str]:
    """Return a machine, as AWS describes it, as lines for a comparison."""
    logs = machine.get("loggingConfiguration") or {"level": "OFF"}
    key = machine.get("encryptionConfiguration") or {"type": "AWS_OWNED_KEY"}
    settings = {
        "loggingConfiguration": {"includeExecutionData": False, **logs},
        "tracingConfiguration": machine.get("tracingConfiguration") or {"enabled": False},
        "encryptionConfiguration": {k: v for k, v in key.items() if k in {"type", "kmsKeyId"}},
    }
    definition = json.loads(machine["definition"])
    return _lines(definition, machine["roleArn"], type_of(machine), settings)


def type_of(machine: Mapping[str, Any]) -> str:
    """Return the type of a machine that AWS describes."""
    return str(machine.get("type") or "STANDARD")


def _lines(
    definition: Mapping[str, Any], role_arn: str, machine_type: str, settings: Mapping[str, Any]
) -> list[str]:
    logs = {k: v for k, v in settings["loggingConfiguration"].items() if v != []}
    state = {
        "definition": definition,
        "roleArn": role_arn,
        "type": machine_type,
        **settings,
        "loggingConfiguration": logs,
    }
    return json.dumps(state, indent=2, sort_keys=True).splitlines()
