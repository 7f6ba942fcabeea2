"""Create or update a state machine, only if it differs from what is desired."""

import difflib
import logging
import time
from collections.abc import Mapping
from typing import Any

from orch_assets.step_functions.aws_errors import code_of, reporting
from orch_assets.step_functions.checks.service_validation import validate_by_service
from orch_assets.step_functions.client import Aws
from orch_assets.step_functions.execution_errors import (
    AwsUnavailableError,
    DefinitionError,
    ForeignStateMachineError,
    StateMachineNotFoundError,
)
from orch_assets.step_functions.machine_settings import (
    OWNER,
    OWNER_TAG,
    DesiredState,
    lines_of,
    type_of,
)
from orch_assets.step_functions.plain_json import compact

logger = logging.getLogger("orch_assets.step_functions")

_CONFLICT_WAITS = (1.0, 2.0, 4.0)


class Deployment:
    """A state machine in AWS and its desired state.

    Args:
        aws: clients.
        arn: of the machine, which may not exist yet.
        desired: what the machine is to be.
    """

    def __init__(self, aws: Aws, arn: str, desired: DesiredState) -> None:
        self._aws = aws
        self._client = aws.states
        self._arn = arn
        self._desired = desired

    def difference(self) -> str:
        """Return what deploying would change, as a unified diff; "" if nothing would change."""
        current = self._described()
        before, tags = ([], {}) if current is None else (lines_of(current), self._tags())
        return "\n".join(filter(None, [self._difference(before), self._tag_difference(tags)]))

    def apply(self, *, adopt: bool) -> str | None:
        """Create the machine, or update what differs. Of two concurrent calls, the last one wins.

        Args:
            adopt: take over a machine that doesn't have our tag.

        Returns:
            The ARN of the published version; None if nothing was created or updated.

        Raises:
            DefinitionError: AWS refuses the definition, or the machine has another type.
            ForeignStateMachineError: a machine of this name doesn't have our tag.
        """
        for delay in _CONFLICT_WAITS:
            try:
                return self._apply_once(adopt=adopt)
            except AwsUnavailableError as error:
                if error.code != "ConflictException":
                    raise
                time.sleep(delay)  # somebody else is changing it
        return self._apply_once(adopt=adopt)

    def _apply_once(self, *, adopt: bool) -> str | None:
        current = self._described()
        if current is None:
            created = self._create()
            if created is not None:
                return _version(created)
            current = self._described()  # somebody else created it first
        if current is None or current.get("status") == "DELETING":
            raise AwsUnavailableError(
                "The state machine is being deleted. Deploy again when it is gone.",
                place=self._arn,
                code="StateMachineDeleting",
            )
        tags = self._tags()
        if tags.get(OWNER_TAG) != OWNER and not adopt:
            raise ForeignStateMachineError(
                f"It exists without the tag {OWNER_TAG}={OWNER}, so it may belong to somebody "
                "else. Choose another name, or take it over with deploy(adopt=True).",
                place=self._arn,
            )
        updated = self._update(current)
        self._tag(tags)
        return _version(updated)

    def _described(self) -> dict[str, Any] | None:
        """Return the machine as AWS describes it; None if it doesn't exist."""
        try:
            with reporting(self._arn):
                current: dict[str, Any] = self._client.describe_state_machine(
                    stateMachineArn=self._arn
                )
        except StateMachineNotFoundError:
            return None
        return current

    def _create(self) -> Mapping[str, Any] | None:
        """Create the machine and return AWS's answer; None if somebody else created it first."""
        definition = self._validated_definition()
        with reporting(self._arn):
            from botocore.exceptions import ClientError

            try:
                answer: Mapping[str, Any] = self._client.create_state_machine(
                    name=self._arn.rpartition(":")[2],
                    type=self._desired.machine_type,
                    definition=definition,
                    roleArn=self._desired.role_arn,
                    tags=[{"key": k, "value": v} for k, v in self._desired.all_tags.items()],
                    publish=True,
                    **self._desired.configuration,
                )
            except ClientError as error:
                if code_of(error) == "StateMachineAlreadyExists":
                    return None
                raise
        logger.info("Created %s", self._arn)
        return answer

    def _update(self, current: Mapping[str, Any]) -> Mapping[str, Any]:
        """Update the machine and return AWS's answer; empty if nothing differs."""
        difference = self._difference(lines_of(current))
        if not difference:
            return {}
        if type_of(current) != self._desired.machine_type:
            raise DefinitionError(
                None,
                "machine_type",
                f"the machine is {type_of(current)}, and AWS can't change that. Choose another "
                "name, or call destroy() first.",
            )
        definition = self._validated_definition()
        logger.info("Updating %s:\n%s", self._arn, difference)
        with reporting(self._arn):
            answer: Mapping[str, Any] = self._client.update_state_machine(
                stateMachineArn=self._arn,
                definition=definition,
                roleArn=self._desired.role_arn,
                publish=True,
                **self._desired.configuration,
            )
        return answer

    def _validated_definition(self) -> str:
        """Return the definition as JSON after AWS has validated it."""
        text = compact(self._desired.definition)
        validate_by_service(self._aws.states_once, self._arn, text, self._desired.machine_type)
        return text

    def _difference(self, before: list[str]) -> str:
        return _diff(before, self._desired.lines(), "")

    def _tag_difference(self, current: Mapping[str, str]) -> str:
        """Return how our tags differ. All others stay: accounts have tagging rules of their own."""
        desired = self._desired.all_tags
        before = [f"{key}={current[key]}" for key in sorted(desired) if key in current]
        return _diff(before, [f"{key}={desired[key]}" for key in sorted(desired)], " tags")

    def _tags(self) -> dict[str, str]:
        with reporting(self._arn):
            tags = self._client.list_tags_for_resource(resourceArn=self._arn)["tags"]
        return {tag["key"]: tag["value"] for tag in tags}

    def _tag(self, current: Mapping[str, str]) -> None:
        changed = {k: v for k, v in self._desired.all_tags.items() if current.get(k) != v}
        if changed:
            logger.info("Tagging %s:\n%s", self._arn, self._tag_difference(current))
            with reporting(self._arn):
                self._client.tag_resource(
                    resourceArn=self._arn,
                    tags=[{"key": key, "value": value} for key, value in changed.items()],
                )


def _diff(before: list[str], after: list[str], what: str) -> str:
    lines = difflib.unified_diff(before, after, f"deployed{what}", f"wanted{what}", lineterm="")
    return "\n".join(lines)


def _version(answer: Mapping[str, Any]) -> str | None:
    return answer.get("stateMachineVersionArn")


def destroy(client: Any, arn: str) -> None:
    """Delete a machine that has our tag; do nothing if it doesn't exist.

    Raises:
        ForeignStateMachineError: the machine doesn't have our tag; it wasn't changed.
    """
    try:
        with reporting(arn):
            client.describe_state_machine(stateMachineArn=arn)
            tags = client.list_tags_for_resource(resourceArn=arn)["tags"]
    except StateMachineNotFoundError:
        return
    if {"key": OWNER_TAG, "value": OWNER} not in tags:
        raise ForeignStateMachineError(
            f"It wasn't deleted, because it doesn't have the tag {OWNER_TAG}={OWNER}. Delete it "
            "in the AWS console if that is what you want.",
            place=arn,
        )
    with reporting(arn):
        client.delete_state_machine(stateMachineArn=arn)
