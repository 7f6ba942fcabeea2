"""Execute a deployed state machine; await, stop and redrive its executions."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from orch_assets.step_functions.arns import machine_name
from orch_assets.step_functions.client import Aws
from orch_assets.step_functions.execution_errors import AwsError, ExecutionInputError
from orch_assets.step_functions.execution_names import check_execution_name, fresh_name
from orch_assets.step_functions.executions.executions import Executions, input_text
from orch_assets.step_functions.executions.express import check_standard, execute_sync
from orch_assets.step_functions.executions.history import HistoryEvent

logger = logging.getLogger("orch_assets.step_functions")


class StateMachine:
    """The executions of one state machine.

    Args:
        name: of the machine.
        machine_type: ``STANDARD`` or ``EXPRESS``.
        aws: clients.
    """

    def __init__(self, name: str, machine_type: str, aws: Aws) -> None:
        self.name = name
        self.machine_type = machine_type
        self._aws = aws
        self._executions = Executions(lambda: aws.states, once=lambda: aws.states_once)

    def arn(self, qualifier: str | int | None = None) -> str:
        """Return the machine's ARN, which is made of the account and the name: nothing is listed.

        Args:
            qualifier: an alias, or the number of a version.
        """
        arn = self._aws.machine_arn(self.name)
        return arn if qualifier is None else f"{arn}:{qualifier}"

    def execute(
        self,
        input_data: Mapping[str, Any] | None = None,
        execution_name: str | None = None,
        state_machine_arn: str | None = None,
    ) -> str:
        """Start an execution; return its ARN.

        Args:
            input_data: input of the first step. Dates become ISO 8601.
            execution_name: the same name with the same input is the same execution, so a call can
                be repeated. By default a new, unique name. See
                :func:`~orch_assets.step_functions.execution_names.execution_name`.
            state_machine_arn: a version or an alias (``arn("live")``), or another machine; by
                default this one.

        Raises:
            ExecutionInputError: the input can't be sent, an execution of this name has another
                input, or the machine is EXPRESS.
            AwsError: the machine doesn't exist, or AWS refuses.
        """
        if self.machine_type == "EXPRESS":
            raise ExecutionInputError(
                "machine_type",
                "is EXPRESS: AWS would retain neither output nor error. Call execute_sync().",
            )
        data = _mapping(input_data)
        self._warn_of_input(data)
        arn = state_machine_arn or self.arn()
        return self._executions.start(arn, self._name_of(arn, execution_name), data)

    def execute_sync(
        self,
        input_data: Mapping[str, Any] | None = None,
        execution_name: str | None = None,
        state_machine_arn: str | None = None,
    ) -> Any:
        """Execute an EXPRESS machine, wait for its end, and return its output.

        This is one blocking call of at most five minutes. Each call starts an execution, also with
        a name that was used before.

        Args:
            input_data: as for ``execute``.
            execution_name: shown in the machine's logs.
            state_machine_arn: as for ``execute``.

        Raises:
            ExecutionFailed: with error and cause; AWS doesn't return the state.
            ExecutionInputError: the input can't be sent, or the machine is STANDARD.
            AwsError: the machine doesn't exist, or AWS refuses.
        """
        if self.machine_type != "EXPRESS":
            raise ExecutionInputError(
                "machine_type",
                "is STANDARD. Call execute(), and wait() with the ARN that it returns.",
            )
        data = _mapping(input_data)
        self._warn_of_input(data)
        arn = state_machine_arn or self.arn()
        name = check_execution_name(self._name_of(arn, execution_name))
        return execute_sync(self._aws.states_once, arn, name, input_text(data))

    def wait(self, execution: str, timeout: float | None = None) -> Any:
        """Wait until an execution has ended; return its output.

        Args:
            execution: its ARN.
            timeout: seconds; None means no limit.

        Raises:
            ExecutionFailed: with state, error and cause.
            ExecutionStillRunningError: it didn't end before the timeout; it continues.
        """
        return self._executions.wait(check_standard(execution), timeout)

    async def wait_async(self, execution: str) -> Any:
        """Wait without blocking a thread until an execution has ended; return its output.

        All executions that are awaited share one thread and few calls. Cancelling this stops the
        execution.

        Args:
            execution: its ARN.

        Raises:
            ExecutionFailed: with state, error and cause.
        """
        try:
            return await asyncio.wrap_future(self._aws.follower.follow(check_standard(execution)))
        except asyncio.CancelledError:
            await asyncio.to_thread(self._stop_or_warn, execution)
            raise

    def stop(self, execution: str, reason: str = "") -> None:
        """Stop an execution; one that has ended doesn't change."""
        self._executions.stop(check_standard(execution), reason)

    def _stop_or_warn(self, execution: str) -> None:
        try:
            self.stop(execution, "The caller that waited for it was cancelled.")
        except AwsError as error:
            logger.warning("The execution continues, as it couldn't be stopped: %s", error)

    def redrive(self, execution: str, execution_name: str | None = None) -> str:
        """Continue a failed execution from the state that failed; return the ARN to wait for.

        AWS redrives executions that ended within the last 14 days, with the definition that they
        started with. If it can't, or if another definition was deployed since, a new execution
        starts with the same input. An execution that is running or has succeeded doesn't change,
        so a call can be repeated.

        Args:
            execution: its ARN.
            execution_name: name of a new execution, if one is needed; by default a unique name
                that begins like the old one.

        Returns:
            The same ARN, which AWS now shows as running, or the ARN of the new execution.

        Raises:
            ExecutionInputError: AWS doesn't return the input that a new execution needs.
            AwsError: the execution doesn't exist, or no longer, or AWS refuses.
        """
        return self._executions.redrive(check_standard(execution), execution_name)

    def history(self, execution: str) -> Iterator[HistoryEvent]:
        """Yield the events of an execution, oldest first, without inputs and outputs."""
        return self._executions.history(check_standard(execution))

    def _warn_of_input(self, data: Mapping[str, Any]) -> None:
        """Warn of input that the steps ignore; for subclasses that know the steps."""

    def _name_of(self, arn: str, name: str | None) -> str:
        return fresh_name(machine_name(arn) or self.name) if name is None else name


def _mapping(input_data: Mapping[str, Any] | None) -> dict[str, Any]:
    if input_data is not None and not isinstance(input_data, Mapping):
        raise ExecutionInputError(
            "input_data", f"is a {type(input_data).__name__}. Give a mapping from names to values."
        )
    return dict(input_data or {})
