"""Bringing a state machine to what is wanted: once, and no more often than it changes."""

import difflib
import logging
import time
from collections.abc import Mapping
from typing import Any

from orch_assets.step_functions.aws_errors import code_of, reporting
from orch_assets.step_functions.checks.service_validation import ask_service
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
    """One state machine in AWS, and what it shall be.

    Args:
        aws: clients.
        arn: the machine's, which may not exist yet.
        wanted: what it shall be.
    """

    def __init__(self, aws: Aws, arn: str, wanted: DesiredState) -> None:
        self._aws = aws
        self._client = aws.states
        self._arn = arn
        self._wanted = wanted

    def difference(self) -> str:
        """Return what deploying would change, as a unified diff; "" where nothing would."""
        found = self._found()
        before, tags = ([], {}) if found is None else (lines_of(found), self._tags())
        return "\n".join(filter(None, [self._difference(before), self._tag_difference(tags)]))

    def apply(self, *, adopt: bool) -> str | None:
        """Create the machine, or update what differs. Two may do this at once: the last one wins.

        Args:
            adopt: take over a machine that isn't ours.

        Returns:
            The ARN of the version that was made; None where nothing had to be made.

        Raises:
            DefinitionError: AWS refuses the definition, or another type.
            ForeignStateMachineError: a machine of that name isn't ours.
        """
        for delay in _CONFLICT_WAITS:
            try:
                return self._applied(adopt=adopt)
            except AwsUnavailableError as error:
                if error.code != "ConflictException":
                    raise
                time.sleep(delay)  # somebody else is at it
        return self._applied(adopt=adopt)

    def _applied(self, *, adopt: bool) -> str | None:
        found = self._found()
        if found is None:
            created = self._created()
            if created is not None:
                return _version(created)
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
        updated = self._updated(found)
        self._retag(tags)
        return _version(updated)

    def _found(self) -> dict[str, Any] | None:
        try:
            with reporting(self._arn):
                found: dict[str, Any] = self._client.describe_state_machine(
                    stateMachineArn=self._arn
                )
        except StateMachineNotFoundError:
            return None
        return found

    def _created(self) -> Mapping[str, Any] | None:
        """Return AWS's answer; None where somebody else was faster."""
        definition = self._asked_for()
        with reporting(self._arn):
            from botocore.exceptions import ClientError

            try:
                answer: Mapping[str, Any] = self._client.create_state_machine(
                    name=self._arn.rpartition(":")[2],
                    type=self._wanted.machine_type,
                    definition=definition,
                    roleArn=self._wanted.role_arn,
                    tags=[{"key": k, "value": v} for k, v in self._wanted.all_tags.items()],
                    publish=True,
                    **self._wanted.configuration,
                )
            except ClientError as error:
                if code_of(error) == "StateMachineAlreadyExists":
                    return None
                raise
        logger.info("Created %s", self._arn)
        return answer

    def _updated(self, found: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return AWS's answer; nothing where nothing differs."""
        difference = self._difference(lines_of(found))
        if not difference:
            return {}
        if type_of(found) != self._wanted.machine_type:
            raise DefinitionError(
                None,
                "machine_type",
                f"the machine is {type_of(found)} and stays so. Choose another name, or destroy "
                "it first.",
            )
        definition = self._asked_for()
        logger.info("Updating %s:\n%s", self._arn, difference)
        with reporting(self._arn):
            answer: Mapping[str, Any] = self._client.update_state_machine(
                stateMachineArn=self._arn,
                definition=definition,
                roleArn=self._wanted.role_arn,
                publish=True,
                **self._wanted.configuration,
            )
        return answer

    def _asked_for(self) -> str:
        """Return the definition's text, to which AWS itself has no objections."""
        text = compact(self._wanted.definition)
        ask_service(self._aws.states_once, self._arn, text, self._wanted.machine_type)
        return text

    def _difference(self, before: list[str]) -> str:
        return _diff(before, self._wanted.lines(), "")

    def _tag_difference(self, found: Mapping[str, str]) -> str:
        """Return how our tags differ. Others stay: accounts tag by rules of their own."""
        wanted = self._wanted.all_tags
        before = [f"{key}={found[key]}" for key in sorted(wanted) if key in found]
        return _diff(before, [f"{key}={wanted[key]}" for key in sorted(wanted)], " tags")

    def _tags(self) -> dict[str, str]:
        with reporting(self._arn):
            tags = self._client.list_tags_for_resource(resourceArn=self._arn)["tags"]
        return {tag["key"]: tag["value"] for tag in tags}

    def _retag(self, found: Mapping[str, str]) -> None:
        wrong = {k: v for k, v in self._wanted.all_tags.items() if found.get(k) != v}
        if wrong:
            logger.info("Tagging %s:\n%s", self._arn, self._tag_difference(found))
            with reporting(self._arn):
                self._client.tag_resource(
                    resourceArn=self._arn,
                    tags=[{"key": key, "value": value} for key, value in wrong.items()],
                )


def _diff(before: list[str], after: list[str], what: str) -> str:
    lines = difflib.unified_diff(before, after, f"deployed{what}", f"wanted{what}", lineterm="")
    return "\n".join(lines)


def _version(answer: Mapping[str, Any]) -> str | None:
    return answer.get("stateMachineVersionArn")


def destroy(client: Any, arn: str) -> None:
    """Delete a machine that is ours; one that isn't there is fine.

    Raises:
        ForeignStateMachineError: it isn't ours; it was left as it is.
    """
    try:
        with reporting(arn):
            client.describe_state_machine(stateMachineArn=arn)
            tags = client.list_tags_for_resource(resourceArn=arn)["tags"]
    except StateMachineNotFoundError:
        return
    if {"key": OWNER_TAG, "value": OWNER} not in tags:
        raise ForeignStateMachineError(
            f"It has no tag {OWNER_TAG}={OWNER}, so it is left as it is. Delete it by other "
            "means if you must.",
            place=arn,
        )
    with reporting(arn):
        client.delete_state_machine(stateMachineArn=arn)
