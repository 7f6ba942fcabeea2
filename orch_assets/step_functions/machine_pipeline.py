"""A sequence of steps as a state machine of AWS Step Functions."""

import json
import logging
import re
from collections.abc import Mapping
from typing import Any

from orch_assets.step_functions.arns import role_account, takes_any_input
from orch_assets.step_functions.checks.definition import check_accounts, check_definition
from orch_assets.step_functions.client import Aws
from orch_assets.step_functions.deployment import Deployment, destroy
from orch_assets.step_functions.execution_errors import DefinitionError
from orch_assets.step_functions.machine import StateMachine
from orch_assets.step_functions.machine_settings import DesiredState, configuration
from orch_assets.step_functions.policies import Place, caller_policy, role_policy
from orch_assets.step_functions.task import PipelineStep, State, Step, chain, taken
from orch_assets.step_functions.versions import point, published

logger = logging.getLogger("orch_assets.step_functions")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")


class StepFunctionsPipeline(StateMachine):
    """Builds, checks, deploys, executes and follows one state machine.

    Each step's output is the next step's input. Nothing is asked of AWS before ``deploy`` or
    ``execute``; credentials are boto3's own.

    Args:
        name: of the state machine: letters, digits, - and _, at most 80.
        role_arn: the role that the machine runs as.
        region: where it runs; None takes what boto3 finds.
        comment: for the reader of the definition.
        profile: a named profile of the AWS configuration.
        machine_type: ``STANDARD``; or ``EXPRESS``, at most five minutes long, executed by
            ``execute_sync`` only.
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
        machine_type: str = "STANDARD",
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
        shared = aws or Aws(region, profile, endpoint=endpoint, client=client, sts=sts)
        super().__init__(name, machine_type, shared)
        self.role_arn = role_arn
        self.region = region
        self.comment = comment or f"{name} — built by orch-assets"
        self._tags = dict(tags or {})
        self._configuration = configuration(log_group_arn, log_level, kms_key, tracing=tracing)
        self._steps: list[Step] = []
        self._version: str | None = None

    def add_step(self, step: Step) -> "StepFunctionsPipeline":
        """Add a step after the others; return the pipeline.

        Raises:
            DefinitionError: another step has its name, or it is no step.
        """
        if not isinstance(step, Step):
            raise DefinitionError(
                None,
                "steps",
                f"a {type(step).__name__} is none. Add a PipelineStep, or another piece.",
            )
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
        if self.machine_type not in ("STANDARD", "EXPRESS"):
            raise DefinitionError(None, "machine_type", "must be STANDARD or EXPRESS.")
        if not self._steps:
            raise DefinitionError(None, "steps", "are missing. Add at least one.")
        definition = {
            "Comment": self.comment,
            "StartAt": self._steps[0].name,
            "States": chain(self._steps),
        }
        check_definition(definition, self.machine_type)
        return definition

    def definition_json(self, indent: int | None = 2) -> str:
        """Return the definition as JSON text."""
        return json.dumps(self.definition(), indent=indent, ensure_ascii=False)

    def difference(self) -> str:
        """Return what ``deploy`` would change, as a unified diff; "" where nothing would."""
        return self.deployment().difference()

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
        self._version = self.deployment().apply(adopt=adopt) or self._version
        return self.arn()

    def deployment(self, definition: State | None = None) -> Deployment:
        """Return a deployment of this machine, for callers that need more than ``deploy``.

        Args:
            definition: what ``definition`` returned before; by default it is built and checked
                now.

        Raises:
            DefinitionError: the definition or the role can't be deployed.
            AwsError: AWS doesn't say which account the credentials belong to.
        """
        definition = definition or self.definition()
        check_accounts(definition)
        if self._role_account() != self._aws.account().number:
            raise DefinitionError(
                None, "role_arn", "is a role of another account than the credentials'."
            )
        desired = DesiredState(
            definition, self.role_arn, self._configuration, self._tags, self.machine_type
        )
        return Deployment(self._aws, self.arn(), desired)

    def version(self) -> str | None:
        """Return the ARN of the version of what is deployed.

        That is the one that ``deploy`` published last; else AWS is asked, and publishes what is
        deployed if it isn't a version yet. None where the server has no versions.
        """
        if self._version is None:
            self._version = published(self._aws.states_once, self.arn())
        return self._version

    def point_alias(self, alias: str, routes: Mapping[str, int] | None = None) -> str:
        """Let an alias show a version, and make it if it isn't there; return its ARN.

        ``execute(…, state_machine_arn=…)`` takes what it returns.

        Args:
            alias: its name, such as ``live``.
            routes: versions' ARNs, one or two, with the percentage of executions that each gets;
                by default all go to the version of what is deployed.

        Raises:
            DefinitionError: no alias can be called so, or show that.
            AwsError: a version isn't there, or AWS refuses.
        """
        if routes is None:
            version = self.version()
            if version is None:
                raise DefinitionError(None, "alias", "this server has no versions to show.")
            routes = {version: 100}
        return point(self._aws.states, self.arn(), alias, routes)

    def destroy(self) -> None:
        """Delete the machine, its versions and aliases; one that isn't there is fine.

        AWS lets executions that run come to their end first.

        Raises:
            ForeignStateMachineError: it isn't ours; it was left as it is.
        """
        destroy(self._aws.states, self.arn())
        self._version = None

    def role_policy(self) -> dict[str, Any]:
        """Return the least IAM policy that the machine's role needs, read off the definition."""
        return role_policy(self.definition(), self._place(), self._configuration)

    def caller_policy(self) -> dict[str, Any]:
        """Return the least IAM policy of who deploys, executes, follows and destroys it."""
        return caller_policy(self._place(), self.role_arn, self._configuration, self.machine_type)

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

    def _look_at_input(self, data: Mapping[str, Any]) -> None:
        for step in self._steps:
            if not isinstance(step, PipelineStep) or not takes_any_input(step.resource):
                continue  # a service's parameters are arguments, and merged over nothing
            if shadowed := set(data) & set(step.parameters):
                logger.warning(
                    "Step %r of %s: its parameters win over the input's %s",
                    step.name,
                    self.name,
                    ", ".join(sorted(shadowed)),
                )
