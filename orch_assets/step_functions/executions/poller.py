"""Follow many executions with one thread and few calls."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import Future, InvalidStateError
from typing import Any, TypeAlias

from orch_assets.step_functions.aws_errors import reporting
from orch_assets.step_functions.execution_errors import AwsError
from orch_assets.step_functions.executions.executions import Executions

# Ten calls per second at most: AWS limits the calls of the whole account.
_SECONDS_BETWEEN_CALLS = 0.1
_FIRST_WAIT = 0.5
_LONGEST_WAIT = 3.0
# Up to this number, executions of a machine are described one by one: the machine may have many
# other executions, which a list would contain.
_FEW = 5
_TRANSIENT = {
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "EndpointConnectionError",
    "InternalServerError",
    "ProxyConnectionError",
    "ReadTimeoutError",
    "ServiceUnavailable",
    "ThrottlingException",
}

# By ARN of the execution.
Futures: TypeAlias = "dict[str, Future[Any]]"


class ExecutionPoller:
    """Follows executions until they end: lists the running ones and describes those that left.

    One daemon thread serves all; it ends when there is nothing more to follow.

    Args:
        client: returns a boto3 client of Step Functions; called for each request.
        patience: seconds for which AWS may fail to answer before this is an error.
        sleep: for tests.
        clock: for tests; seconds.

    Example:
        >>> poller = ExecutionPoller(lambda: client)  # doctest: +SKIP
        >>> output = poller.follow(execution_arn).result()  # doctest: +SKIP
    """

    def __init__(
        self,
        client: Callable[[], Any],
        *,
        patience: float = 600.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._executions = Executions(self._paced)
        self._patience = patience
        self._sleep = sleep
        self._clock = clock
        self._followed: dict[str, Future[Any]] = {}
        self._failing_since: dict[str, float] = {}
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def follow(self, arn: str) -> "Future[Any]":
        """Return a future of the execution's output, or of the error that it ended with.

        All callers get the same future for the same execution. Cancelling the future ends the
        polling, not the execution.
        """
        with self._lock:
            future = self._followed.get(arn)
            if future is None or future.done():  # a redriven execution ends again
                future = self._followed[arn] = Future()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="step-functions-follower", daemon=True
                )
                self._thread.start()
            return future

    def _run(self) -> None:
        delay = _FIRST_WAIT
        while pending := self._pending():
            self._sleep(delay)
            delay = min(delay * 1.5, _LONGEST_WAIT)
            by_machine: dict[str, Futures] = defaultdict(dict)
            for arn, future in pending.items():
                by_machine[_machine_of(arn)][arn] = future
            for machine, futures in by_machine.items():
                self._poll(machine, futures)

    def _pending(self) -> Futures:
        """Return what has to be followed; if there is nothing, forget the thread, which ends."""
        with self._lock:
            self._followed = {a: f for a, f in self._followed.items() if not f.done()}
            if not self._followed:
                self._thread = None
            return dict(self._followed)

    def _poll(self, machine: str, futures: Futures) -> None:
        """Settle the futures of a machine's executions that have ended."""
        try:
            running = self._running(machine) if len(futures) > _FEW else set()
        except Exception as error:  # noqa: BLE001 - given to those who wait
            self._fail(machine, futures.values(), error)
            return
        self._failing_since.pop(machine, None)
        for arn, future in futures.items():
            if arn not in running and not future.done():
                self._settle(arn, future)

    def _paced(self) -> Any:
        """Return the client for one call, after a pause that limits the calls per second."""
        self._sleep(_SECONDS_BETWEEN_CALLS)
        return self._client()

    def _running(self, machine: str) -> set[str]:
        request: dict[str, Any] = {
            "stateMachineArn": machine,
            "statusFilter": "RUNNING",
            "maxResults": 1000,
        }
        running: set[str] = set()
        while True:
            with reporting(machine):
                page = self._paced().list_executions(**request)
            running |= {execution["executionArn"] for execution in page["executions"]}
            if not page.get("nextToken"):
                return running
            request["nextToken"] = page["nextToken"]

    def _settle(self, arn: str, future: "Future[Any]") -> None:
        """Settle the future of an execution that isn't listed as running, if it has ended."""
        try:
            outcome = self._executions.outcome(arn)
        except Exception as error:  # noqa: BLE001 - given to those who wait
            self._fail(arn, [future], error)
        else:
            self._failing_since.pop(arn, None)
            if outcome is not None:
                _end(future, output=outcome.output)

    def _fail(self, arn: str, futures: Iterable["Future[Any]"], error: Exception) -> None:
        """Give the futures the error, unless it is transient and AWS may answer again."""
        if isinstance(error, AwsError) and error.code in _TRANSIENT:
            since = self._failing_since.setdefault(arn, self._clock())
            if self._clock() - since < self._patience:
                return
        for future in futures:
            _end(future, error=error)


def _machine_of(arn: str) -> str:
    head, _, execution = arn.partition(":execution:")
    return f"{head}:stateMachine:{execution.partition(':')[0]}"


def _end(future: "Future[Any]", *, output: Any = None, error: BaseException | None = None) -> None:
    try:
        if error is None:
            future.set_result(output)
        else:
            future.set_exception(error)
    except InvalidStateError:  # it was cancelled meanwhile
        return
