"""Bringing a state machine to what is wanted: once, and no more often than it changes."""

import difflib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orch_assets.step_functions.aws_errors import code_of, reporting
from orch_assets.step_functions.errors import (
    AwsUnavailableError,
    ForeignStateMachineError,
    StateMachineNotFoundError,
)

logger = logging.getLogger("orch_assets.step_functions")

# On everything that we made. What lacks it is somebody else's.
OWNER_TAG = "orch-assets:owner"
OWNER = "orch-assets"


@dataclass(frozen=True)
class Wanted:
    """What a state machine shall be.

    Attributes:
        definition: in Amazon States Language, checked.
        role_arn: what it runs as.
        configuration: ``loggingConfiguration``, ``tracingConfiguration`` and
            ``encryptionConfiguration``, all three, as Step Functions has them.
        tags: without ours.
    """

    definition: Mapping[str, Any]
    role_arn: str
    configuration: Mapping[str, Any]
    tags: Mapping[str, str]

    @property
    def all_tags(self) -> dict[str, str]:
        """The tags with ours."""
        return {**self.tags, OWNER_TAG: OWNER}

    def lines(self) -> list[str]:
        """Return all of it but the tags as lines, to be compared."""
        return _lines(self.definition, self.role_arn, self.configuration)


class Deployment:
    """One state machine in AWS, and what it shall be.

    Args:
        client: of Step Functions.
        arn: the machine's, which may not exist yet.
        wanted: what it shall be.
    """

    def __init__(self, client: Any, arn: str, wanted: Wanted) -> None:
        self._client = client
        self._arn = arn
        self._wanted = wanted

    def difference(self) -> str:
        """Return what deploying would change, as a unified diff; "" where nothing would."""
        found = self._found()
        return self._difference([] if found is None else _lines_of(found))

    def apply(self, *, adopt: bool) -> None:
        """Create the machine, or update what differs. Two may do this at once: the last one wins.

        Args:
            adopt: take over a machine that isn't ours.

        Raises:
            ForeignStateMachineError: a machine of that name isn't ours.
        """
        found = self._found()
        if found is None:
            if self._created():
                return
            found = self._found()  # somebody else was faster
        if found is None or found.get("status") == "DELETING":
            raise AwsUnavailableError(
                "The state machine is being deleted. Deploy again when it is gone.",
                place=self._arn,
                code="StateMachineDeleting",
            )
        tags = self._tags()
        if tags.get(OWNER_TAG) != OWNER and not adopt:
            raise ForeignStateMachineError(
                f"It exists without the tag {OWNER_TAG}={OWNER}: it may be somebody else's. "
                "Choose another name, or take it over with deploy(adopt=True).",
                place=self._arn,
            )
        self._update(found)
        self._retag(tags)

    def _found(self) -> dict[str, Any] | None:
        try:
            with reporting(self._arn):
                found: dict[str, Any] = self._client.describe_state_machine(
                    stateMachineArn=self._arn
                )
        except StateMachineNotFoundError:
            return None
        return found

    def _created(self) -> bool:
        from botocore.exceptions import ClientError

        with reporting(self._arn):
            try:
                self._client.create_state_machine(
                    name=self._arn.rpartition(":")[2],
                    definition=json.dumps(self._wanted.definition),
                    roleArn=self._wanted.role_arn,
                    tags=[{"key": k, "value": v} for k, v in self._wanted.all_tags.items()],
                    publish=True,
                    **self._wanted.configuration,
                )
            except ClientError as error:
                if code_of(error) == "StateMachineAlreadyExists":
                    return False
                raise
        logger.info("Created %s", self._arn)
        return True

    def _update(self, found: Mapping[str, Any]) -> None:
        difference = self._difference(_lines_of(found))
        if not difference:
            return
        logger.info("Updating %s:\n%s", self._arn, difference)
        with reporting(self._arn):
            self._client.update_state_machine(
                stateMachineArn=self._arn,
                definition=json.dumps(self._wanted.definition),
                roleArn=self._wanted.role_arn,
                publish=True,
                **self._wanted.configuration,
            )

    def _difference(self, before: list[str]) -> str:
        lines = difflib.unified_diff(
            before, self._wanted.lines(), "deployed", "wanted", lineterm=""
        )
        return "\n".join(lines)

    def _tags(self) -> dict[str, str]:
        with reporting(self._arn):
            tags = self._client.list_tags_for_resource(resourceArn=self._arn)["tags"]
        return {tag["key"]: tag["value"] for tag in tags}

    def _retag(self, found: Mapping[str, str]) -> None:
        """Set the tags that differ. Others stay: accounts tag by rules of their own."""
        wrong = {k: v for k, v in self._wanted.all_tags.items() if found.get(k) != v}
        if wrong:
            with reporting(self._arn):
                self._client.tag_resource(
                    resourceArn=self._arn,
                    tags=[{"key": key, "value": value} for key, value in wrong.items()],
                )


def configuration(
    log_group_arn: str | None, log_level: str, kms_key: str | None, *, tracing: bool
) -> dict[str, Any]:
    """Return a machine's configuration as Step Functions has it.

    What executions take in and put out is never logged: it may be data of a study.
    """
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


def _lines_of(found: Mapping[str, Any]) -> list[str]:
    logs = found.get("loggingConfiguration") or {"level": "OFF"}
    key = found.get("encryptionConfiguration") or {"type": "AWS_OWNED_KEY"}
    settings = {
        "loggingConfiguration": {"includeExecutionData": False, **logs},
        "tracingConfiguration": found.get("tracingConfiguration") or {"enabled": False},
        "encryptionConfiguration": {k: v for k, v in key.items() if k in {"type", "kmsKeyId"}},
    }
    return _lines(json.loads(found["definition"]), found["roleArn"], settings)


def _lines(definition: Mapping[str, Any], role_arn: str, settings: Mapping[str, Any]) -> list[str]:
    logs = {k: v for k, v in settings["loggingConfiguration"].items() if v != []}
    whole = {
        "definition": definition,
        "roleArn": role_arn,
        **settings,
        "loggingConfiguration": logs,
    }
    return json.dumps(whole, indent=2, sort_keys=True).splitlines()
