"""A lane, and the step of it that is under way."""

import asyncio
import random
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from orch_assets.errors import ImednetError, TableChangedError
from orch_assets.orchestration.steps import LaneStep
from orch_assets.study import PublishingLease

_MAX_BACKOFF_SECONDS: Final = 60.0
# What sums and differences of clock readings may fall short by.
_ROUNDING_SECONDS: Final = 1e-6


class Lane:
    """One study with the steps that it still has to take.

    Attributes:
        study_key: the study.
        steps: still to be taken, in order.
        values: what earlier steps hand over to later ones, by name.
        failed: names of the steps that failed.
    """

    def __init__(self, study_key: str, steps: Sequence[LaneStep]) -> None:
        self.study_key = study_key
        self.steps = deque(steps)
        self.values: dict[str, Any] = {}
        self.failed: set[str] = set()

    def broken_upstream(self) -> str | None:
        """Return the first failed step that the lane's next one takes; None if all is well."""
        return next((name for name in self.steps[0].upstreams if name in self.failed), None)

    def keep(self, step: LaneStep, handover: Any) -> None:
        """Keep a step's value, and of all values only those that a later step takes."""
        self.values[step.name] = handover
        takers = [later for later in self.steps if later.takes_values]
        needed = {name for later in takers for name in later.upstreams}
        for name in self.values.keys() - needed:
            del self.values[name]


@dataclass(eq=False)
class Attempt:
    """A step under way, all its tries together. Its time stands still while it only waits.

    Attributes:
        lane: whose step it is.
        step: the step.
        lease: its right to publish.
        over: set once, under the lanes' lock, by whoever ends it: the step, its timeout, a cancel.
        tries: how often it was tried and failed.
        threads: the workers that work for it now.
        task: on the event loop; None for a plain step.
    """

    lane: Lane
    step: LaneStep
    lease: PublishingLease = field(default_factory=PublishingLease)
    over: bool = False
    tries: int = 0
    threads: set[threading.Thread] = field(default_factory=set)
    task: "asyncio.Task[None] | None" = None
    _worked: float = 0.0
    _since: float | None = None

    def restart(self) -> None:
        """Set its time back to nothing; it had not begun."""
        self._since, self._worked = None, 0.0

    def resume(self, now: float) -> None:
        """Let its time run."""
        if self._since is None:
            self._since = now

    def pause(self, now: float) -> None:
        """Stop its time; it waits for a worker or for its next try."""
        since, self._since = self._since, None  # first, so that no reader counts it twice
        if since is not None:
            self._worked += now - since

    def worked(self, now: float) -> float:
        """Return its working seconds so far."""
        since = self._since
        return self._worked + (now - since if since is not None else 0.0)

    def is_overdue(self, now: float) -> bool:
        """Whether it has worked for as long as its step may."""
        timeout = self.step.timeout
        return timeout is not None and self.worked(now) >= timeout - _ROUNDING_SECONDS

    def worth_another_try(self, errors: Iterable[BaseException]) -> bool:
        """Whether the step's retries are for each of these errors and not used up."""
        if self.over or self.tries > self.step.retries:
            return False
        return all(map(self._is_retried, errors))

    def _is_retried(self, error: BaseException) -> bool:
        if isinstance(error, ImednetError) and not isinstance(error, TableChangedError):
            return False  # the registry's errors were retried where they happened
        return isinstance(error, self.step.retry_on)


def backoff(tries: int) -> float:
    """Return the seconds to wait after so many failed tries: about 1, 2, 4, … 60."""
    longest = min(_MAX_BACKOFF_SECONDS, 2.0 ** (tries - 1))
    return random.uniform(0.5, 1.0) * longest  # noqa: S311 - jitter
