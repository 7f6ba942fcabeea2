"""Start executions, wait for them, and report why they failed."""

import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orch_assets.marked_names import named
from orch_assets.step_functions.aws_errors import code_of, reporting
from orch_assets.step_functions.execution_errors import (
    AwsError,
    ExecutionFailed,
    ExecutionInputError,
    ExecutionStillRunningError,
)
from orch_assets.step_functions.execution_names import check_execution_name, fresh_name
from orch_assets.step_functions.executions.history import HistoryEvent, failing_state, history
from orch_assets.step_functions.executions.redriving import is_outdated, try_redrive
from orch_assets.step_functions.plain_json import compact, plain, size

MAX_INPUT_BYTES = 256 * 1024
_RUNNING = {"RUNNING", "PENDING_REDRIVE"}
_FAILED = {"FAILED", "TIMED_OUT", "ABORTED"}
_FIRST_WAIT = 0.5
_LONGEST_WAIT = 15.0
_MAX_REASON = 32_768
_FIELD = re.compile(r"[a-z][a-z_]{0,63}")


@dataclass(frozen=True)
class Outcome:
    """The outcome of an execution.

    Attributes:
        status: ``SUCCEEDED``, ``FAILED``, ``TIMED_OUT`` or ``ABORTED``.
        output: of the execution. It may be data of a study, so the repr doesn't contain it.
    """

    status: str
    output: Any = field(repr=False)


class Executions:
    """The executions of one account.

    Args:
        client: returns a boto3 client of Step Functions; called for each request.
        once: returns a client that doesn't retry; by default ``client``.
        sleep: for tests.
        clock: for tests; seconds.
    """

    def __init__(
        self,
        client: Callable[[], Any],
        *,
        once: Callable[[], Any] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = client
        self._connect_once = once or client
        self._sleep = sleep
        self._clock = clock

    def start(self, machine_arn: str, name: str, data: Mapping[str, Any]) -> str:
        """Start an execution and return its ARN.

        The same name with the same input is the same execution, even if it has ended.

        Args:
            machine_arn: of a machine, a version or an alias.
            name: of the execution.
            data: the input.

        Raises:
            ExecutionInputError: the input can't be sent, the name is invalid, or an execution of
                this name has another input.
            AwsError: the machine doesn't exist, or AWS refuses.
        """
        return self._start(machine_arn, name, input_text(data))

    def _start(self, machine_arn: str, name: str, text: str) -> str:
        with reporting(machine_arn):
            from botocore.exceptions import ClientError

            try:
                arn: str = self._client.start_execution(
                    stateMachineArn=machine_arn, name=check_execution_name(name), input=text
                )["executionArn"]
            except ClientError as error:
                if code_of(error) != "ExecutionAlreadyExists":
                    raise
            else:
                return arn
        return self._existing(execution_arn(machine_arn, name), text)

    def _existing(self, arn: str, text: str) -> str:
        """Return the ARN of an execution that exists, if it has this input."""
        with reporting(arn):
            existing = self._client.describe_execution(executionArn=arn).get("input", "{}")
        if json.loads(existing) != json.loads(text):
            raise ExecutionInputError(
                "execution_name",
                "an execution of this name has another input. Choose another name.",
            )
        return arn

    def outcome(self, arn: str) -> Outcome | None:
        """Return the outcome of an execution; None while it is running.

        Raises:
            ExecutionFailed: it ended without success.
            AwsError: it doesn't exist, or AWS refuses.
        """
        with reporting(arn):
            execution = self._client.describe_execution(executionArn=arn)
        if execution["status"] in _RUNNING:
            return None
        if execution["status"] == "SUCCEEDED":
            return Outcome("SUCCEEDED", json.loads(execution.get("output") or "null"))
        raise ExecutionFailed(
            arn,
            execution["status"],
            state=self._failing_state(arn),
            error=execution.get("error"),
            cause=execution.get("cause"),
        )

    def _failing_state(self, arn: str) -> str | None:
        try:
            return failing_state(self._client, arn)
        except AwsError:  # report the failure even if its state is unknown
            return None

    def wait(self, arn: str, timeout: float | None = None) -> Any:
        """Wait until an execution has ended; return its output.

        Args:
            arn: of the execution.
            timeout: seconds; None means no limit.

        Raises:
            ExecutionFailed: it ended without success.
            ExecutionStillRunningError: it didn't end before the timeout; it continues.
        """
        end = None if timeout is None else self._clock() + timeout
        for delay in _delays():
            if (outcome := self.outcome(arn)) is not None:
                return outcome.output
            remaining = delay if end is None else end - self._clock()
            if remaining <= 0 and timeout is not None:
                raise ExecutionStillRunningError(arn, timeout)
            self._sleep(min(delay, remaining))
        return None  # pragma: no cover - the delays are infinite

    def redrive(self, arn: str, name: str | None = None) -> str:
        """Continue a failed execution, or start a new one; return the ARN to wait for.

        Args:
            arn: of the execution. One that is running or has succeeded doesn't change.
            name: of a new execution; by default a unique one that begins like the old one.

        Raises:
            ExecutionInputError: AWS doesn't return the input that a new execution needs.
            AwsError: the execution doesn't exist, or AWS refuses.
        """
        with reporting(arn):
            execution = self._client.describe_execution(executionArn=arn)
        if execution["status"] not in _FAILED:
            return arn
        if not is_outdated(self._client, execution) and try_redrive(
            self._connect_once(), execution, sleep=self._sleep
        ):
            return arn
        return self._start_again(execution, name)

    def _start_again(self, execution: Mapping[str, Any], name: str | None) -> str:
        if "input" not in execution:
            raise ExecutionInputError(
                "input_data",
                "AWS doesn't return the input of the old execution. Call execute() with it.",
            )
        machine: str = next(
            execution[field]
            for field in ("stateMachineAliasArn", "stateMachineVersionArn", "stateMachineArn")
            if execution.get(field)
        )
        return self._start(machine, name or fresh_name(execution["name"]), execution["input"])

    def stop(self, arn: str, reason: str = "") -> None:
        """Stop an execution; one that has ended doesn't change.

        Args:
            arn: of the execution.
            reason: shown in AWS; must hold no data.
        """
        with reporting(arn):
            self._client.stop_execution(
                executionArn=arn, error="Stopped", cause=reason[:_MAX_REASON]
            )

    def history(self, arn: str) -> Iterator[HistoryEvent]:
        """Yield the events of an execution, oldest first."""
        return history(self._client, arn)

    @property
    def _client(self) -> Any:
        return self._connect()


def input_text(data: Mapping[str, Any]) -> str:
    """Return an input as JSON text.

    Raises:
        ExecutionInputError: JSON can't represent it, or it is over 256 KiB.
    """
    text = compact(plain(data, "input_data", ExecutionInputError, _key_name))
    if size(text) > MAX_INPUT_BYTES:
        raise ExecutionInputError(
            "input_data", "is over 256 KiB. Write the data to a store and send its URI."
        )
    return text


def _key_name(key: str) -> str:
    """Return a key as a message may show it: not if it may be data, such as a subject's key."""
    return named(key, "(…)", shown=key) if _FIELD.fullmatch(key) else "(…)"


def execution_arn(machine_arn: str, name: str) -> str:
    """Return the ARN of an execution of a machine, a version or an alias."""
    head, _, machine = machine_arn.partition(":stateMachine:")
    return f"{head}:execution:{machine.partition(':')[0]}:{name}"


def _delays() -> Iterator[float]:
    """Yield growing waits with jitter, so that hundreds of callers spread their requests."""
    delay = _FIRST_WAIT
    while True:
        yield delay * random.uniform(0.75, 1.25)  # noqa: S311 - not a secret
        delay = min(delay * 1.5, _LONGEST_WAIT)
