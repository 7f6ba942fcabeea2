"""The events of an execution, without inputs and outputs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orch_assets.step_functions.aws_errors import reporting
from orch_assets.step_functions.execution_errors import is_a_name

_PAGE = 1000

# Failures that follow from another one: that of a branch or of an iteration.
_CONSEQUENT_FAILURES = frozenset(
    {"ParallelStateFailed", "MapStateFailed", "MapIterationFailed", "MapRunFailed"}
)
_CONSEQUENCES = _CONSEQUENT_FAILURES | {"ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"}


@dataclass(frozen=True)
class HistoryEvent:
    """An event; ``str()`` returns a line for a log.

    Attributes:
        id: consecutive number, from 1.
        previous_id: id of the event that led to this one; 0 for the first event.
        timestamp: with a time zone.
        type: such as ``TaskStateEntered`` or ``LambdaFunctionFailed``.
        state: name of the state that is entered or left; None for other events.
        error: name of the error, for failures; None for other events.
    """

    id: int
    previous_id: int
    timestamp: datetime
    type: str
    state: str | None
    error: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        parts = [self.timestamp.isoformat(), str(self.id), self.type, self.state]
        if self.error and is_a_name(self.error):  # a sentence may hold data
            parts.append(self.error)
        return " ".join(part for part in parts if part)


def history(client: Any, arn: str) -> Iterator[HistoryEvent]:
    """Yield the events of an execution, oldest first."""
    for page in _pages(client, arn, newest_first=False):
        yield from page


def failing_state(client: Any, arn: str) -> str | None:
    """Return the state in which an execution ended; None if its history doesn't show it."""
    known: dict[int, HistoryEvent] = {}
    for page in _pages(client, arn, newest_first=True):
        known |= {event.id: event for event in page}
        state = _failing_state(known, complete=False)
        if state is not None:
            return state
    return _failing_state(known, complete=True)


def _failing_state(known: Mapping[int, HistoryEvent], *, complete: bool) -> str | None:
    """Trace the newest event back to the state in which it occurred.

    Args:
        known: the newest events, by id.
        complete: whether ``known`` holds the whole history.

    Returns:
        The state's name; None if it isn't known, or if an older page may show it.
    """
    event = known.get(max(known, default=0))
    while event and not event.type.endswith("StateEntered"):
        before = known.get(event.previous_id)
        if event.type in _CONSEQUENT_FAILURES:
            before = _uncaught(known, event.id) or (before if complete else None)
        event = before
    return event.state if event else None


def _uncaught(known: Mapping[int, HistoryEvent], before: int) -> HistoryEvent | None:
    """Return the newest failure before an event that was neither retried nor caught.

    It is looked up because ``previous_id`` is no help here: for the failure of a Parallel it may be
    the newest event of another branch.
    """
    handled = {event.previous_id for event in known.values() if event.type not in _CONSEQUENCES}
    failures = (
        event.id
        for event in known.values()
        if event.id < before and event.id not in handled and _fails(event)
    )
    newest = max(failures, default=None)
    return None if newest is None else known[newest]


def _fails(event: HistoryEvent) -> bool:
    ends = event.type.endswith(("Failed", "TimedOut")) and event.type not in _CONSEQUENCES
    return ends or event.type == "FailStateEntered"


def _pages(client: Any, arn: str, *, newest_first: bool) -> Iterator[list[HistoryEvent]]:
    """Yield pages of events; the request excludes inputs and outputs."""
    request = {
        "executionArn": arn,
        "maxResults": _PAGE,
        "reverseOrder": newest_first,
        "includeExecutionData": False,
    }
    while True:
        with reporting(arn):
            page = client.get_execution_history(**request)
        yield [_event(event) for event in page["events"]]
        if not page.get("nextToken"):
            return
        request["nextToken"] = page["nextToken"]


def _event(event: Mapping[str, Any]) -> HistoryEvent:
    details: Mapping[str, Any] = next(
        (value for key, value in event.items() if key.endswith("EventDetails")), {}
    )
    of_state = event["type"].endswith(("StateEntered", "StateExited"))
    return HistoryEvent(
        id=event["id"],
        previous_id=event.get("previousEventId", 0),
        timestamp=event["timestamp"],
        type=event["type"],
        state=details.get("name") if of_state else None,
        error=details.get("error"),
    )
