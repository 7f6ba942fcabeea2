"""Starting executions, waiting for them, and saying why they failed."""

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
from orch_assets.step_functions.executions.redriving import outdated, redriven
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
    """How an execution ended.

    Attributes:
        status: ``SUCCEEDED``, ``FAILED``, ``TIMED_OUT`` or ``ABORTED``.
        output: of one that succeeded; not in the repr: it may be data of a study.
    """

    status: str
    output: Any = field(repr=False)


class Executions:
    """The executions of one client's account.

    Args:
        client: of Step Functions; asked for at the first call.
        once: one whose calls aren't repeated; by default the same.
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

        The same name with the same input is the same execution, also after it ended.

        Args:
            machine_arn: of a machine, a version or an alias.
            name: checked.
            data: the input.

        Raises:
            ExecutionInputError: the input can't be sent, or the name is taken by one with
                another input.
            AwsError: the machine isn't there, or AWS refuses.
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
        return self._same(execution_arn(machine_arn, name), text)

    def _same(self, arn: str, text: str) -> str:
        with reporting(arn):
            before = self._client.describe_execution(executionArn=arn).get("input", "{}")
        if json.loads(before) != json.loads(text):
            raise ExecutionInputError(
                "execution_name",
                "an execution of that name had another input. Choose another name.",
            )
        return arn

    def outcome(self, arn: str) -> Outcome | None:
        """Return how an execution ended; None while it runs.

        Raises:
            ExecutionFailed: it ended without success.
            AwsError: it isn't there, or AWS refuses.
        """
        with reporting(arn):
            found = self._client.describe_execution(executionArn=arn)
        if found["status"] in _RUNNING:
            return None
        if found["status"] == "SUCCEEDED":
            return Outcome("SUCCEEDED", json.loads(found.get("output") or "null"))
        raise ExecutionFailed(
            arn,
            found["status"],
            state=self._failing_state(arn),
            error=found.get("error"),
            cause=found.get("cause"),
        )

    def _failing_state(self, arn: str) -> str | None:
        try:
            return failing_state(self._client, arn)
        except AwsError:  # the failure itself is worth more than its place
            return None

    def wait(self, arn: str, timeout: float | None = None) -> Any:
        """Wait until an execution ended; return its output.

        Args:
            arn: the execution's.
            timeout: seconds; None waits for as long as it takes.

        Raises:
            ExecutionFailed: it ended without success.
            ExecutionStillRunningError: it didn't end in time; it goes on.
        """
        end = None if timeout is None else self._clock() + timeout
        for delay in _delays():
            if (outcome := self.outcome(arn)) is not None:
                return outcome.output
            left = delay if end is None else end - self._clock()
            if left <= 0 and timeout is not None:
                raise ExecutionStillRunningError(arn, timeout)
            self._sleep(min(delay, left))
        return None  # pragma: no cover - the delays don't end

    def redrive(self, arn: str, name: str | None = None) -> str:
        """Let an execution that failed go on, or start a new one; return the ARN to wait for.

        Args:
            arn: the execution's. One that runs, or has succeeded, stays as it is.
            name: of a new one; by default a fresh one that begins like the old one's.

        Raises:
            ExecutionInputError: AWS hands out no input to start a new one with.
            AwsError: it isn't there, or AWS refuses.
        """
        with reporting(arn):
            found = self._client.describe_execution(executionArn=arn)
        if found["status"] not in _FAILED:
            return arn
        if not outdated(self._client, found) and redriven(
            self._connect_once(), found, sleep=self._sleep
        ):
            return arn
        return self._again(found, name)

    def _again(self, found: Mapping[str, Any], name: str | None) -> str:
        if "input" not in found:
            raise ExecutionInputError(
                "input_data", "AWS doesn't hand out the old one. Execute the machine with it."
            )
        machine: str = next(
            found[field]
            for field in ("stateMachineAliasArn", "stateMachineVersionArn", "stateMachineArn")
            if found.get(field)
        )
        return self._start(machine, name or fresh_name(found["name"]), found["input"])

    def stop(self, arn: str, reason: str = "") -> None:
        """Stop an execution; one that has ended stays as it is.

        Args:
            arn: the execution's.
            reason: for whoever looks at it in AWS; no data.
        """
        with reporting(arn):
            self._client.stop_execution(
                executionArn=arn, error="Stopped", cause=reason[:_MAX_REASON]
            )

    def history(self, arn: str) -> Iterator[HistoryEvent]:
        """Yield what happened in an execution, page by page."""
        return history(self._client, arn)

    @property
    def _client(self) -> Any:
        return self._connect()


def input_text(data: Mapping[str, Any]) -> str:
    """Return an input as the text that is sent.

    Raises:
        ExecutionInputError: JSON can't carry it, or it is over 256 KiB.
    """
    text = compact(plain(data, "input_data", ExecutionInputError, _shown))
    if size(text) > MAX_INPUT_BYTES:
        raise ExecutionInputError(
            "input_data", "is over 256 KiB. Put the data into a store, and its URI into the input."
        )
    return text


def _shown(key: str) -> str:
    """Return a key for a message, unless it may be a value, such as a subject's key."""
    return named(key, "(…)", shown=key) if _FIELD.fullmatch(key) else "(…)"


def execution_arn(machine_arn: str, name: str) -> str:
    """Return the ARN of an execution of a machine, a version or an alias."""
    head, _, rest = machine_arn.partition(":stateMachine:")
    return f"{head}:execution:{rest.partition(':')[0]}:{name}"


def _delays() -> Iterator[float]:
    """Yield growing waits with jitter, so that hundreds don't ask at once."""
    delay = _FIRST_WAIT
    while True:
        yield delay * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
        delay = min(delay * 1.5, _LONGEST_WAIT)
