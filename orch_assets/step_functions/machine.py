"""A state machine that is there: executed, waited for, stopped and redriven."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from orch_assets.step_functions.arns import machine_name
from orch_assets.step_functions.client import Aws
from orch_assets.step_functions.execution_errors import AwsError, ExecutionInputError
from orch_assets.step_functions.execution_names import check_execution_name, fresh_name
from orch_assets.step_functions.executions.executions import Executions, input_text
from orch_assets.step_functions.executions.express import execute_sync, kept
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
        """Return the ARN that the machine has, or will have: by its account, not by a listing.

        Args:
            qualifier: an alias, or a version's number.
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
            input_data: the first step's input. Dates become ISO 8601.
            execution_name: the same name with the same input is the same execution, so that a
                call can be repeated; by default a fresh one. See
                :func:`~orch_assets.step_functions.execution_names.execution_name`.
            state_machine_arn: a version or an alias (``arn("live")``), or another machine; by
                default this one.

        Raises:
            ExecutionInputError: the input can't be sent, the name is taken by one with another
                input, or the machine is EXPRESS.
            AwsError: the machine isn't there, or AWS refuses.
        """
        if self.machine_type == "EXPRESS":
            raise ExecutionInputError(
                "machine_type",
                "is EXPRESS: AWS would keep neither output nor error. Call execute_sync().",
            )
        data = _mapping(input_data)
        self._look_at_input(data)
        arn = state_machine_arn or self.arn()
        return self._executions.start(arn, self._name_of(arn, execution_name), data)

    def execute_sync(
        self,
        input_data: Mapping[str, Any] | None = None,
        execution_name: str | None = None,
        state_machine_arn: str | None = None,
    ) -> Any:
        """Execute an EXPRESS machine and wait for its end, five minutes at most; return its output.

        It is one call, which holds its thread. Each call is an execution, whatever its name.

        Args:
            input_data: as for ``execute``.
            execution_name: for the reader of the logs.
            state_machine_arn: as for ``execute``.

        Raises:
            ExecutionFailed: with error and cause; AWS doesn't say in which state.
            ExecutionInputError: the input can't be sent, or the machine is STANDARD.
            AwsError: the machine isn't there, or AWS refuses.
        """
        if self.machine_type != "EXPRESS":
            raise ExecutionInputError(
                "machine_type", "is STANDARD. Call execute(), and wait() with what it returns."
            )
        data = _mapping(input_data)
        self._look_at_input(data)
        arn = state_machine_arn or self.arn()
        name = check_execution_name(self._name_of(arn, execution_name))
        return execute_sync(self._aws.states_once, arn, name, input_text(data))

    def wait(self, execution: str, timeout: float | None = None) -> Any:
        """Wait until an execution ended; return its output.

        Args:
            execution: its ARN.
            timeout: seconds; None waits for as long as it takes.

        Raises:
            ExecutionFailed: with state, error and cause.
            ExecutionStillRunningError: it didn't end in time; it goes on.
        """
        return self._executions.wait(kept(execution), timeout)

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
            return await asyncio.wrap_future(self._aws.follower.follow(kept(execution)))
        except asyncio.CancelledError:
            await asyncio.to_thread(self._stop_or_warn, execution)
            raise

    def stop(self, execution: str, reason: str = "") -> None:
        """Stop an execution; one that has ended stays as it is."""
        self._executions.stop(kept(execution), reason)

    def _stop_or_warn(self, execution: str) -> None:
        try:
            self.stop(execution, "Whoever waited for it was cancelled.")
        except AwsError as error:
            logger.warning("It goes on, as it couldn't be stopped: %s", error)

    def redrive(self, execution: str, execution_name: str | None = None) -> str:
        """Let an execution that failed go on from the state that failed; return what to wait for.

        AWS redrives executions that ended within the last 14 days, by the definition that they
        began with. Where it can't, or another definition was deployed since, a new execution
        starts with the same input. One that runs, or has succeeded, stays as it is, so that a
        call can be repeated.

        Args:
            execution: its ARN.
            execution_name: of a new execution, if there has to be one; by default a fresh name
                that begins like the old one's.

        Returns:
            The same ARN, shown as running again; or the new execution's.

        Raises:
            ExecutionInputError: AWS hands out no input to start a new one with.
            AwsError: the execution isn't there (any more), or AWS refuses.
        """
        return self._executions.redrive(kept(execution), execution_name)

    def history(self, execution: str) -> Iterator[HistoryEvent]:
        """Yield what happened in an execution, without inputs and outputs; oldest first."""
        return self._executions.history(kept(execution))

    def _look_at_input(self, data: Mapping[str, Any]) -> None:
        """Look at what is about to be executed."""

    def _name_of(self, arn: str, given: str | None) -> str:
        return fresh_name(machine_name(arn) or self.name) if given is None else given


def _mapping(input_data: Mapping[str, Any] | None) -> dict[str, Any]:
    if input_data is not None and not isinstance(input_data, Mapping):
        raise ExecutionInputError(
            "input_data", f"is a {type(input_data).__name__}. Give a mapping of names to values."
        )
    return dict(input_data or {})
