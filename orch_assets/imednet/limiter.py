"""How many requests may be in flight: one limit for each registry and key in the whole process.

It adapts only to what the registry says of itself (429, 503, ``Retry-After``), never to how long
an answer takes. A refusal narrows the limit by a fifth or more, at once; successes widen it by
one at a time: quickly where nothing was refused, slowly to where it was last refused.
"""

import contextlib
import hashlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from orch_assets.imednet.settings import DEFAULT_MAX_REQUESTS, RegistrySettings

_NARROWING = 0.8
# Successes before as many requests as the registry last refused are tried again. At one refusal
# for each try, 30 keep the refused share under 4 %; more would be slower to see that it may widen.
_PROBE_AFTER = 30
_NEVER = sys.maxsize


# A waiter looks this often whether it is still waited for.
_LOOK_SECONDS = 0.5


class AbandonedError(Exception):
    """Nobody waits for the answer any more. Never leaves the package."""


class Slot:
    """The right to have one request in flight; says how the registry took it."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.refused = False
        self.lost = False  # no answer came, so the registry said nothing of itself
        self.hold_seconds = 0.0

    def refuse(self, retry_after: float | None = None) -> None:
        """Note that the registry was too busy, and for how many seconds it asks to be left."""
        self.refused = True
        self.hold_seconds = retry_after or 0.0


class RequestLimiter:
    """A limit of requests in flight that many threads share, first come, first served.

    Args:
        maximum: never more than this many.
        clock: seconds that only grow; ``time.monotonic`` but for tests.
    """

    def __init__(
        self,
        maximum: int = DEFAULT_MAX_REQUESTS,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[threading.Condition] = deque()
        self._maximum = maximum
        self._limit = maximum
        self._in_flight = 0
        self._held_until = float("-inf")
        self._refused_at = _NEVER
        self._refusals = 0
        self._successes = 0
        self._generation = 0

    @property
    def maximum(self) -> int:
        """The most requests that may ever be in flight."""
        return self._maximum

    @maximum.setter
    def maximum(self, maximum: int) -> None:
        with self._lock:
            # One that was never refused is as wide as it may be; a narrowed one stays narrow.
            unhurt = self._limit >= self._maximum
            self._limit = maximum if unhurt else min(self._limit, maximum)
            self._maximum = maximum
            self._call_next()

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return self._limit

    @property
    def in_flight(self) -> int:
        """Requests that are in flight now."""
        return self._in_flight

    @contextlib.contextmanager
    def slot(self, abandoned: threading.Event | None = None) -> Iterator[Slot]:
        """Wait for a turn, and hold it for the length of one exchange.

        Raises:
            AbandonedError: the event was set before the turn came.
        """
        slot = self._take(abandoned or threading.Event())
        answered = False
        try:
            yield slot
            answered = True
        finally:
            self._give_back(slot, succeeded=answered and not slot.lost)

    def _take(self, abandoned: threading.Event) -> Slot:
        # Each waiter has a condition of its own: hundreds wait, and one at a time is to wake.
        turn = threading.Condition(self._lock)
        with self._lock:
            self._waiting.append(turn)
            try:
                while self._waiting[0] is not turn or self._must_wait():
                    turn.wait(min(self._hold() or _LOOK_SECONDS, _LOOK_SECONDS))
                    if abandoned.is_set():
                        raise AbandonedError
                self._in_flight += 1
            finally:
                self._waiting.remove(turn)
                self._call_next()
            return Slot(self._generation)

    def _call_next(self) -> None:
        if self._waiting:
            self._waiting[0].notify()

    def _must_wait(self) -> bool:
        return self._in_flight >= self.limit or self._hold() is not None

    def _hold(self) -> float | None:
        """Return the seconds that a ``Retry-After`` still asks for; None when it has passed."""
        left = self._held_until - self._clock()
        return left if left > 0 else None

    def _give_back(self, slot: Slot, *, succeeded: bool) -> None:
        with self._lock:
            self._in_flight -= 1
            if slot.refused:
                self._narrow(slot)
            elif succeeded:
                self._widen(slot)
            self._call_next()

    def _narrow(self, slot: Slot) -> None:
        self._held_until = max(self._held_until, self._clock() + slot.hold_seconds)
        self._successes = 0
        if slot.generation == self._generation:
            self._generation += 1
            self._refusals = 0
            self._refused_at = self._limit
        elif slot.generation < self._generation - 1:
            return  # sent under a limit that was narrowed twice since
        # Of the requests that were sent under one limit, each that is refused was one too many.
        self._refusals += 1
        narrow = min(int(self._refused_at * _NARROWING), self._refused_at - self._refusals)
        self._limit = max(1, min(self._limit, narrow))

    def _widen(self, slot: Slot) -> None:
        if self._limit == self._maximum or slot.generation != self._generation:
            return
        self._successes += 1
        probing = self._limit + 1 >= self._refused_at
        if self._successes < (_PROBE_AFTER if probing else self._limit):
            return
        self._successes = 0
        self._limit += 1
        if self._limit > self._refused_at:
            self._refused_at = _NEVER  # what was refused once is accepted now


_limiters: dict[bytes, RequestLimiter] = {}
_limiters_lock = threading.Lock()


def limiter_for(settings: RegistrySettings) -> RequestLimiter:
    """Return the process's one limiter for this registry and key.

    A client that names a maximum sets it for all that share it; the newest counts.
    """
    # Hashed, so that a dump of this table shows no key.
    identity = f"{settings.base_url}\0{settings.api_key}\0{settings.security_key}"
    digest = hashlib.sha256(identity.encode()).digest()
    with _limiters_lock:
        limiter = _limiters.get(digest)
        if limiter is None:
            limiter = _limiters[digest] = RequestLimiter(
                settings.max_requests or DEFAULT_MAX_REQUESTS
            )
        elif settings.max_requests is not None:
            limiter.maximum = settings.max_requests
        return limiter
