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
from orch_assets.step_functions.policies import MachineLocation, caller_policy, role_policy
from orch_assets.step_functions.task import PipelineStep, State, Step, chain, duplicate_name
from orch_assets.step_functions.versions import point, published

logger = logging.getLogger("orch_assets.step_functions")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")


class StepFunctionsPipeline(StateMachine):
    """Builds, checks, deploys and executes one state machine, and waits for its executions.

    Each step's output is the next step's input. AWS isn't called before ``deploy`` or ``execute``.
    boto3 finds the credentials.

    Args:
        name: of the state machine: at most 80 letters, digits, - and _.
        role_arn: the role that the machine runs as.
        region: AWS region; None means what boto3 finds.
        comment: for readers of the definition.
        profile: a named profile of the AWS configuration.
        machine_type: ``STANDARD``; or ``EXPRESS``, which runs for at most five minutes and is
            executed by ``execute_sync`` only.
        tags: of the machine. Our ownership tag is added.
        log_group_arn: CloudWatch Logs group for the events of executions, without their inputs and
            outputs.
        log_level: ``ALL``, ``ERROR`` or ``FATAL``.
        tracing: whether X-Ray traces the executions.
        kms_key: encrypts the definition and the data of executions.
        endpoint: URL of a service compatible with Step Functions and STS.
        client: boto3 client of Step Functions; takes the place of the settings above.
        sts: boto3 client of STS; likewise.
        aws: clients shared with other pipelines; take the place of all these.

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
        """Append a step and return the pipeline.

        Raises:
            DefinitionError: another step has the same name, or this isn't a step.
        """
        if not isinstance(step, Step):
            raise DefinitionError(
                None,
                "steps",
                f"a {type(step).__name__} is not a step. Add a PipelineStep, a Choice, a Map, ….",
            )
        if any(step.name == other.name for other in self._steps):
            raise duplicate_name(step.name)
        self._steps.append(step)
        return self

    def definition(self) -> State:
        """Build the definition in Amazon States Language, check it and return it.

        Raises:
            DefinitionError: names the invalid step and field.
        """
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise DefinitionError(None, "name", "must be 1 to 80 letters, digits, - and _.")
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
        """Return what ``deploy`` would change, as a unified diff; "" if nothing would change."""
        return self.deployment().difference()

    def deploy(self, *, adopt: bool = False) -> str:
        """Create the machine, or update it if it differs; return its ARN.

        A change of definition, role or configuration is published as a new version. Nothing is
        updated if nothing differs. Tags that others have set stay.

        Args:
            adopt: take over a machine of this name that doesn't have our tag.

        Raises:
            DefinitionError: the definition or the role is invalid.
            ForeignStateMachineError: a machine of this name doesn't have our tag; it wasn't
                changed.
            AwsError: AWS refuses.
        """
        self._version = self.deployment().apply(adopt=adopt) or self._version
        return self.arn()

    def deployment(self, definition: State | None = None) -> Deployment:
        """Return the deployment of this machine, for callers that need more than ``deploy``.

        Args:
            definition: what ``definition()`` has returned; by default it is called now.

        Raises:
            DefinitionError: the definition or the role is invalid.
            AwsError: AWS doesn't return the account of the credentials.
        """
        definition = definition or self.definition()
        check_accounts(definition)
        if self._role_account() != self._aws.account().number:
            raise DefinitionError(
                None, "role_arn", "is a role of another account than that of the credentials."
            )
        desired = DesiredState(
            definition, self.role_arn, self._configuration, self._tags, self.machine_type
        )
        return Deployment(self._aws, self.arn(), desired)

    def version(self) -> str | None:
        """Return the ARN of the deployed version; None if the server doesn't support versions.

        It is the version that ``deploy`` published last. Without one, AWS is asked, and publishes
        the deployed definition if it has no version yet.
        """
        if self._version is None:
            self._version = published(self._aws.states_once, self.arn())
        return self._version

    def point_alias(self, alias: str, routes: Mapping[str, int] | None = None) -> str:
        """Create an alias or move it to a version; return its ARN.

        Pass the ARN to ``execute`` as ``state_machine_arn``.

        Args:
            alias: its name, such as ``live``.
            routes: ARNs of one or two versions, each with its percentage of executions; by default
                the deployed version gets all.

        Raises:
            DefinitionError: the name or the routes are invalid.
            AwsError: a version doesn't exist, or AWS refuses.
        """
        if routes is None:
            version = self.version()
            if version is None:
                raise DefinitionError(None, "alias", "this server has no versions.")
            routes = {version: 100}
        return point(self._aws.states, self.arn(), alias, routes)

    def destroy(self) -> None:
        """Delete the machine, its versions and aliases; do nothing if it doesn't exist.

        AWS lets running executions end first.

        Raises:
            ForeignStateMachineError: the machine doesn't have our tag; it wasn't deleted.
        """
        destroy(self._aws.states, self.arn())
        self._version = None

    def role_policy(self) -> dict[str, Any]:
        """Return the minimal IAM policy of the machine's role, derived from the definition."""
        return role_policy(self.definition(), self._location(), self._configuration)

    def caller_policy(self) -> dict[str, Any]:
        """Return the minimal IAM policy for using the machine: from ``deploy`` to ``destroy``."""
        return caller_policy(
            self._location(), self.role_arn, self._configuration, self.machine_type
        )

    def _location(self) -> MachineLocation:
        account = self._role_account()  # first, as it checks the ARN
        partition = self.role_arn.split(":")[1]
        return MachineLocation(partition, self.region or "*", account, self.name)

    def _role_account(self) -> str:
        account = role_account(self.role_arn)
        if account is None:
            raise DefinitionError(
                None, "role_arn", "must be a role's ARN: arn:aws:iam::<12 digits>:role/<name>."
            )
        return account

    def _warn_of_input(self, data: Mapping[str, Any]) -> None:
        for step in self._steps:
            if not isinstance(step, PipelineStep) or not takes_any_input(step.resource):
                continue  # a service gets its parameters only, not the input
            if shadowed := set(data) & set(step.parameters):
                logger.warning(
                    "Step %r of %s: its parameters replace these keys of the input: %s",
                    step.name,
                    self.name,
                    ", ".join(sorted(shadowed)),
                )
