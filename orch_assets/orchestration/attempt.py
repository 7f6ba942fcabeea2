"""A lane, and its step that is running."""

import asyncio
import random
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from orch_assets.errors import ImednetError, TableChangedError
from orch_assets.orchestration.defining.study_patterns import is_for, not_for_the_study
from orch_assets.orchestration.returned_values import Skip
from orch_assets.orchestration.steps import LaneStep
from orch_assets.study import PublishingLease

_MAX_BACKOFF_SECONDS: Final = 60.0
# Rounding error allowed in sums and differences of clock readings.
_ROUNDING_SECONDS: Final = 1e-6


class Lane:
    """One study with its remaining steps.

    Attributes:
        study_key: The study.
        steps: Remaining steps, in order.
        values: Values that earlier steps hand over to later ones, by step name.
        failed: Names of the failed steps.
        skipped: Why steps were skipped, by name.
    """

    def __init__(self, study_key: str, steps: Sequence[LaneStep]) -> None:
        self.study_key = study_key
        self.steps = deque(steps)
        self.values: dict[str, Any] = {}
        self.failed: set[str] = set()
        self.skipped: dict[str, str] = {}

    def failed_upstream(self) -> str | None:
        """Return the first failed upstream of the next step; None if no upstream failed."""
        return next((name for name in self.steps[0].upstreams if name in self.failed), None)

    def why_skipped(self) -> str | None:
        """Return why the next step is to be skipped; None if it isn't."""
        step = self.steps[0]
        if not is_for(self.study_key, step.studies):
            return Skip(not_for_the_study(step.studies)).reason
        for name in step.upstreams:
            if name in self.skipped and name not in step.optional:
                return Skip.after(name, self.skipped[name]).reason
        return None

    def store(self, step: LaneStep, handover: Any) -> None:
        """Store a step's value, and drop every value that no remaining step takes."""
        self.values[step.name] = handover
        taken = (later.upstreams if later.takes is None else later.takes for later in self.steps)
        needed = set(chain.from_iterable(taken))
        for name in self.values.keys() - needed:
            del self.values[name]


@dataclass(eq=False)
class Attempt:
    """A running step, with all its tries. Its working time does not include waits.

    Attributes:
        lane: The lane of the step.
        step: The step.
        lease: The step's right to publish.
        ended: Set once, under the lock of the lanes, by whatever ends the step: its return, its
            timeout or a cancellation.
        tries: Number of failed tries.
        threads: The worker threads that work for the step now.
        task: The step's task on the event loop; None for a plain step.
    """

    lane: Lane
    step: LaneStep
    lease: PublishingLease = field(default_factory=PublishingLease)
    ended: bool = False
    tries: int = 0
    threads: set[threading.Thread] = field(default_factory=set)
    task: "asyncio.Task[None] | None" = None
    _worked: float = 0.0
    _since: float | None = None

    def restart(self) -> None:
        """Set the working time back to zero."""
        self._since, self._worked = None, 0.0

    def resume(self, now: float) -> None:
        """Start counting working time, unless it is already being counted."""
        if self._since is None:
            self._since = now

    def pause(self, now: float) -> None:
        """Stop counting working time: the step waits for a worker or for its next try."""
        since, self._since = self._since, None  # first, so that no reader counts it twice
        if since is not None:
            self._worked += now - since

    def worked(self, now: float) -> float:
        """Return the working seconds so far."""
        since = self._since
        return self._worked + (now - since if since is not None else 0.0)

    def is_overdue(self, now: float) -> bool:
        """Return whether the step has used up its timeout."""
        timeout = self.step.timeout
        return timeout is not None and self.worked(now) >= timeout - _ROUNDING_SECONDS

    def may_retry(self, errors: Iterable[BaseException]) -> bool:
        """Return whether retries are left and apply to each of these errors."""
        if self.ended or self.tries > self.step.retries:
            return False
        return all(map(self._is_retried, errors))

    def _is_retried(self, error: BaseException) -> bool:
        if isinstance(error, ImednetError) and not isinstance(error, TableChangedError):
            return False  # the iMednet client has already retried it
        return isinstance(error, self.step.retry_on)


def backoff(tries: int) -> float:
    """Return the seconds to wait after this many failed tries: about 1, 2, 4, … 60."""
    longest = min(_MAX_BACKOFF_SECONDS, 2.0 ** (tries - 1))
    return random.uniform(0.5, 1.0) * longest  # noqa: S311 - jitter
