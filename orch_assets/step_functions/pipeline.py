"""A sequence of steps as a state machine of AWS Step Functions."""

import asyncio
import json
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

from orch_assets.step_functions.arns import machine_name, role_account
from orch_assets.step_functions.aws import Aws
from orch_assets.step_functions.aws_errors import reporting
from orch_assets.step_functions.checking import check_definition
from orch_assets.step_functions.deployment import (
    OWNER,
    OWNER_TAG,
    Deployment,
    Wanted,
    configuration,
)
from orch_assets.step_functions.errors import (
    DefinitionError,
    ForeignStateMachineError,
    StateMachineNotFoundError,
)
from orch_assets.step_functions.executions import Executions
from orch_assets.step_functions.history import HistoryEvent
from orch_assets.step_functions.naming import fresh_name
from orch_assets.step_functions.policies import Place, caller_policy, role_policy
from orch_assets.step_functions.step import PipelineStep, State, Step, chain, taken

logger = logging.getLogger("orch_assets.step_functions")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")


class StepFunctionsPipeline:
    """Builds, checks, deploys, executes and follows one state machine.

    Each step's output is the next step's input. Nothing is asked of AWS before ``deploy`` or
    ``execute``; credentials are boto3's own.

    Args:
        name: of the state machine: letters, digits, - and _, at most 80.
        role_arn: the role that the machine runs as.
        region: where it runs; None takes what boto3 finds.
        comment: for the reader of the definition.
        profile: a named profile of the AWS configuration.
        tags: of the machine, beside the one that says that it is ours.
        log_group_arn: a group of CloudWatch Logs for what its executions do (never for what they
            take in or put out).
        log_level: ``ALL``, ``ERROR`` or ``FATAL``.
        tracing: by X-Ray.
        kms_key: encrypts the definition and the executions' data.
        endpoint: URL of something else that speaks Step Functions and STS.
        client: a boto3 client of Step Functions to use instead of one made of the above.
        sts: a boto3 client of STS, likewise.
        aws: clients shared with other pipelines, instead of all of these.

    Example:
        >>> pipeline = StepFunctionsPipeline(
        ...     "clinops-daily-ingest", "arn:aws:iam::123456789012:role/StepFunctionsRole"
        ... )
        >>> pipeline.add_step(
        ...     PipelineStep("Ingest", "arn:aws:lambda:us-east-1:123456789012:function:ingest")
        ... ).definition()["StartAt"]
        'Ingest'
    """

    def __init__(
        self,
        name: str,
        role_arn: str,
        region: str | None = "us-east-1",
        comment: str = "",
        profile: str | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        log_group_arn: str | None = None,
        log_level: str = "ERROR",
        tracing: bool = False,
        kms_key: str | None = None,
        endpoint: str | None = None,
        client: Any = None,
        sts: Any = None,
        aws: Aws | None = None,
    ) -> None:
        self.name = name
        self.role_arn = role_arn
        self.region = region
        self.comment = comment or f"{name} — built by orch-assets"
        self._tags = dict(tags or {})
        self._configuration = configuration(log_group_arn, log_level, kms_key, tracing=tracing)
        self._steps: list[Step] = []
        self._aws = aws or Aws(region, profile, endpoint=endpoint, client=client, sts=sts)
        self._executions = Executions(lambda: self._aws.states)

    def add_step(self, step: Step) -> "StepFunctionsPipeline":
        """Add a step after the others; return the pipeline.

        Raises:
            DefinitionError: another step has its name.
        """
        if any(step.name == other.name for other in self._steps):
            raise taken(step.name)
        self._steps.append(step)
        return self

    def definition(self) -> State:
        """Return the definition in Amazon States Language, checked.

        Raises:
            DefinitionError: names the step and the field that is wrong.
        """
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise DefinitionError(
                None, "name", "must be letters, digits, - and _, from 1 to 80 of them."
            )
        if not self._steps:
            raise DefinitionError(None, "steps", "are missing. Add at least one.")
        definition = {
            "Comment": self.comment,
            "StartAt": self._steps[0].name,
            "States": chain(self._steps),
        }
        check_definition(definition)
        return definition

    def definition_json(self, indent: int | None = 2) -> str:
        """Return the definition as JSON text."""
        return json.dumps(self.definition(), indent=indent, ensure_ascii=False)

    def arn(self) -> str:
        """Return the ARN that the machine has, or will have: by its account, not by a listing."""
        return self._aws.machine_arn(self.name)

    def difference(self) -> str:
        """Return what ``deploy`` would change, as a unified diff; "" where nothing would."""
        return self._deployment().difference()

    def deploy(self, *, adopt: bool = False) -> str:
        """Create the machine, or update it if it differs; return its ARN.

        Definition, role and configuration that are there already are left alone. What changes is
        published as a new version. Tags of others stay.

        Args:
            adopt: take over a machine of that name that isn't ours.

        Raises:
            DefinitionError: the definition or the role may not leave.
            ForeignStateMachineError: a machine of that name isn't ours; it was left as it is.
            AwsError: AWS refuses.
        """
        self._deployment().apply(adopt=adopt)
        return self.arn()

    def destroy(self) -> None:
        """Delete the machine, its versions and aliases; one that isn't there is fine.

        AWS lets executions that run come to their end first.

        Raises:
            ForeignStateMachineError: it isn't ours; it was left as it is.
        """
        arn, client = self.arn(), self._aws.states
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

    def execute(
        self,
        input_data: Mapping[str, Any] | None = None,
        execution_name: str | None = None,
        state_machine_arn: str | None = None,
    ) -> str:
        """Start an execution; return its ARN.

        Args:
            input_data: the first step's input. Dates become ISO 8601.
            execution_name: the same name with the same input is the same execution, so that a
                call can be repeated; by default a fresh one. See
                :func:`~orch_assets.step_functions.naming.execution_name`.
            state_machine_arn: a version or an alias, or another machine; by default this one.

        Raises:
            ExecutionInputError: the input can't be sent, or the name is taken by one with
                another input.
            AwsError: the machine isn't there, or AWS refuses.
        """
        data = dict(input_data or {})
        self._warn_of_shadows(data)
        arn = state_machine_arn or self.arn()
        name = (
            fresh_name(machine_name(arn) or self.name) if execution_name is None else execution_name
        )
        return self._executions.start(arn, name, data)

    def wait(self, execution: str, timeout: float | None = None) -> Any:
        """Wait until an execution ended; return its output.

        Args:
            execution: its ARN.
            timeout: seconds; None waits for as long as it takes.

        Raises:
            ExecutionFailed: with state, error and cause.
            ExecutionStillRunningError: it didn't end in time; it goes on.
        """
        return self._executions.wait(execution, timeout)

    async def wait_async(self, execution: str) -> Any:
        """Wait until an execution ended, holding no thread; return its output.

        All executions that are waited for so share one thread and few calls. Cancelling this
        stops the execution.

        Args:
            execution: its ARN.

        Raises:
            ExecutionFailed: with state, error and cause.
        """
        try:
            return await asyncio.wrap_future(self._aws.follower.follow(execution))
        except asyncio.CancelledError:
            await asyncio.to_thread(self.stop, execution, "Whoever waited for it was cancelled.")
            raise

    def stop(self, execution: str, reason: str = "") -> None:
        """Stop an execution; one that has ended stays as it is."""
        self._executions.stop(execution, reason)

    def history(self, execution: str) -> Iterator[HistoryEvent]:
        """Yield what happened in an execution, without inputs and outputs; oldest first."""
        return self._executions.history(execution)

    def role_policy(self) -> dict[str, Any]:
        """Return the least IAM policy that the machine's role needs, read off the definition."""
        return role_policy(self.definition(), self._place(), self._configuration)

    def caller_policy(self) -> dict[str, Any]:
        """Return the least IAM policy of who deploys, executes, follows and destroys it."""
        return caller_policy(self._place(), self.role_arn)

    def _place(self) -> Place:
        account = self._role_account()
        return Place(self.role_arn.split(":")[1], self.region or "*", account, self.name)

    def _role_account(self) -> str:
        account = role_account(self.role_arn)
        if account is None:
            raise DefinitionError(
                None, "role_arn", "must be a role's ARN: arn:aws:iam::<12 digits>:role/<name>."
            )
        return account

    def _deployment(self) -> Deployment:
        definition = self.definition()
        if self._role_account() != self._aws.account().number:
            raise DefinitionError(
                None, "role_arn", "is a role of another account than the credentials'."
            )
        wanted = Wanted(definition, self.role_arn, self._configuration, self._tags)
        return Deployment(self._aws.states, self.arn(), wanted)

    def _warn_of_shadows(self, data: Mapping[str, Any]) -> None:
        for step in self._steps:
            if isinstance(step, PipelineStep) and (shadowed := set(data) & set(step.parameters)):
                logger.warning(
                    "Step %r of %s: its parameters win over the input's %s",
                    step.name,
                    self.name,
                    ", ".join(sorted(shadowed)),
                )
