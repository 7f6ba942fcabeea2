"""The Dagster resource for state machines of AWS Step Functions."""

import threading
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, PrivateAttr

from orch_assets.defs import environment as settings
from orch_assets.defs.set_in_code import SetInCode
from orch_assets.errors import SettingError

if TYPE_CHECKING:
    from orch_assets.step_functions import Aws, Step, StepFunctionsPipeline


class StepFunctionsResource(SetInCode, dg.ConfigurableResource[Any]):
    """Builds, deploys and executes state machines with one role, region and account.

    boto3 finds the credentials. All pipelines of a resource share its clients, and one thread
    follows all their executions.

    Example:
        >>> @dg.asset
        ... def nightly(step_functions: StepFunctionsResource) -> None:
        ...     machine = step_functions.pipeline("nightly", Wait("Pause", 1))
        ...     machine.deploy()
        ...     machine.wait(machine.execute())
    """

    role_arn: str | None = Field(
        default=None,
        description="ARN of the role that the machines run as. Default: ORCH_STEP_FUNCTIONS_ROLE.",
    )
    region: str | None = Field(
        default=None, description="AWS region. Default: AWS_REGION, else what boto3 finds."
    )
    profile: str | None = Field(
        default=None, description="Profile of the AWS configuration. Default: what boto3 finds."
    )
    endpoint: str | None = Field(
        default=None, description="URL of a service compatible with Step Functions and STS."
    )

    _aws: "Aws | None" = PrivateAttr(default=None)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    @property
    def aws(self) -> "Aws":
        """Clients of AWS; they connect on first use."""
        from orch_assets.step_functions import Aws

        with self._lock:
            if self._aws is None:
                self._aws = Aws(self._region(), self.profile, endpoint=self.endpoint)
            return self._aws

    def pipeline(
        self, name: str, *steps: "Step", comment: str = "", **configuration: Any
    ) -> "StepFunctionsPipeline":
        """Return a pipeline of these steps.

        Args:
            name: of the state machine.
            steps: in order; ``add_step`` appends further ones.
            comment: for readers of the definition.
            configuration: further arguments of
                :class:`~orch_assets.step_functions.StepFunctionsPipeline`: tags, logs, tracing.

        Raises:
            SettingError: no role is set.
        """
        from orch_assets.step_functions import StepFunctionsPipeline

        role = self.role_arn or settings.text("ORCH_STEP_FUNCTIONS_ROLE")
        if role is None:
            raise SettingError(
                "ORCH_STEP_FUNCTIONS_ROLE", "is unset; give the ARN of the machines' role."
            )
        machine = StepFunctionsPipeline(
            name, role, self._region(), comment, aws=self.aws, **configuration
        )
        for step in steps:
            machine.add_step(step)
        return machine

    def _region(self) -> str | None:
        return self.region or settings.text("AWS_REGION")
