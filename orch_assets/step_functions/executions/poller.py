"""Following many executions by one thread and few calls."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import Future, InvalidStateError
from typing import Any, TypeAlias

from orch_assets.step_functions.aws_errors import reporting
from orch_assets.step_functions.execution_errors import AwsError
from orch_assets.step_functions.executions.executions import Executions

# At most ten calls a second, of those that an account has for all that it does.
_SECONDS_BETWEEN_CALLS = 0.1
_FIRST_WAIT = 0.5
_LONGEST_WAIT = 3.0
# So few of one machine are asked for one by one: its list may be long for other reasons.
_FEW = 5
_PASSING = {
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "EndpointConnectionError",
    "InternalServerError",
    "ProxyConnectionError",
    "ReadTimeoutError",
    "ServiceUnavailable",
    "ThrottlingException",
}

# By the ARNs of executions.
Futures: TypeAlias = "dict[str, Future[Any]]"


class ExecutionPoller:
    """Follows executions until they end: lists those that run, and asks for those that left.

    One daemon thread serves all; it ends when nothing is left to follow.

    Args:
        client: of Step Functions; asked for at the first call.
        patience: seconds for which AWS may fail to answer before that is an error.
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
        """Return what will be the execution's output, or why there is none.

        The same execution has one future, whoever asks. A future that is cancelled is followed no
        more; the execution goes on.
        """
        with self._lock:
            future = self._followed.get(arn)
            if future is None or future.done():  # a redriven execution ends once more
                future = self._followed[arn] = Future()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="step-functions-follower", daemon=True
                )
                self._thread.start()
            return future

    def _run(self) -> None:
        delay = _FIRST_WAIT
        while left := self._left():
            self._sleep(delay)
            delay = min(delay * 1.5, _LONGEST_WAIT)
            by_machine: dict[str, Futures] = defaultdict(dict)
            for arn, future in left.items():
                by_machine[_machine_of(arn)][arn] = future
            for machine, futures in by_machine.items():
                self._look(machine, futures)

    def _left(self) -> Futures:
        """Return what is left to follow; with nothing left, this thread is no more."""
        with self._lock:
            self._followed = {a: f for a, f in self._followed.items() if not f.done()}
            if not self._followed:
                self._thread = None
            return dict(self._followed)

    def _look(self, machine: str, futures: Futures) -> None:
        """Look at the executions of one machine."""
        try:
            running = self._running(machine) if len(futures) > _FEW else set()
        except Exception as error:  # noqa: BLE001 - whoever waits gets it: nobody waits here
            self._fail(machine, futures.values(), error)
            return
        self._failing_since.pop(machine, None)
        for arn, future in futures.items():
            if arn not in running and not future.done():
                self._settle(arn, future)

    def _paced(self) -> Any:
        """Return the client for one call."""
        self._sleep(_SECONDS_BETWEEN_CALLS)
        return self._client()

    def _running(self, machine: str) -> set[str]:
        asked: dict[str, Any] = {
            "stateMachineArn": machine,
            "statusFilter": "RUNNING",
            "maxResults": 1000,
        }
        found: set[str] = set()
        while True:
            with reporting(machine):
                page = self._paced().list_executions(**asked)
            found |= {execution["executionArn"] for execution in page["executions"]}
            if not page.get("nextToken"):
                return found
            asked["nextToken"] = page["nextToken"]

    def _settle(self, arn: str, future: "Future[Any]") -> None:
        """Settle an execution that left the list, unless it runs all the same."""
        try:
            outcome = self._executions.outcome(arn)
        except Exception as error:  # noqa: BLE001 - likewise
            self._fail(arn, [future], error)
        else:
            self._failing_since.pop(arn, None)
            if outcome is not None:
                _end(future, output=outcome.output)

    def _fail(self, place: str, futures: Iterable["Future[Any]"], error: Exception) -> None:
        """Tell whoever waits, unless it is AWS that doesn't answer, and that may pass."""
        if isinstance(error, AwsError) and error.code in _PASSING:
            since = self._failing_since.setdefault(place, self._clock())
            if self._clock() - since < self._patience:
                return
        for future in futures:
            _end(future, error=error)


def _machine_of(arn: str) -> str:
    head, _, rest = arn.partition(":execution:")
    return f"{head}:stateMachine:{rest.partition(':')[0]}"


def _end(future: "Future[Any]", *, output: Any = None, error: BaseException | None = None) -> None:
    try:
        if error is None:
            future.set_result(output)
        else:
            future.set_exception(error)
    except InvalidStateError:  # cancelled meanwhile: nobody waits any more
        return
