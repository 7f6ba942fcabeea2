"""Limits the requests in flight: one limit per base URL and keys in the whole process.

The limit adapts only to overload that the API reports (429, 503, ``Retry-After``), never to the
time an answer takes. A refusal narrows the limit at once, by a fifth or more. Successes widen it by
one at a time: quickly if nothing was refused, slowly towards the limit that was last refused.
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
# Successes before the limit that was last refused is tried again. With one refusal for each trial,
# 30 keep the share of refused requests under 4 %; a larger number would delay widening.
_PROBE_AFTER = 30
_NEVER = sys.maxsize

# How often a waiting request checks whether it was abandoned.
_CHECK_SECONDS = 0.5


class AbandonedError(Exception):
    """The answer is no longer needed. Never leaves the package."""


class Slot:
    """The right to have one request in flight; records whether the API accepted it."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.refused = False
        self.lost = False  # no answer arrived, so nothing is known about overload
        self.hold_seconds = 0.0

    def refuse(self, retry_after: float | None = None) -> None:
        """Record that the API reported overload, and the seconds that it asks to wait."""
        self.refused = True
        self.hold_seconds = retry_after or 0.0


class RequestLimiter:
    """A limit of requests in flight, shared by many threads: first come, first served.

    Args:
        maximum: The upper bound of the limit.
        clock: A monotonic clock in seconds; ``time.monotonic`` except in tests.
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
        """The upper bound of the limit."""
        return self._maximum

    @maximum.setter
    def maximum(self, maximum: int) -> None:
        with self._lock:
            # A limit that is narrowed stays narrow.
            is_widest = self._limit >= self._maximum
            self._limit = maximum if is_widest else min(self._limit, maximum)
            self._maximum = maximum
            self._wake_next()

    @property
    def limit(self) -> int:
        """How many requests may be in flight now."""
        return self._limit

    @property
    def in_flight(self) -> int:
        """How many requests are in flight now."""
        return self._in_flight

    @contextlib.contextmanager
    def slot(self, abandoned: threading.Event | None = None) -> Iterator[Slot]:
        """Wait for a slot, and hold it for the duration of one exchange.

        Raises:
            AbandonedError: The event was set before a slot was free.
        """
        slot = self._take(abandoned or threading.Event())
        answered = False
        try:
            yield slot
            answered = True
        finally:
            self._release(slot, succeeded=answered and not slot.lost)

    def _take(self, abandoned: threading.Event) -> Slot:
        # Each waiter has its own condition: of hundreds that wait, only one is to wake up.
        turn = threading.Condition(self._lock)
        with self._lock:
            self._waiting.append(turn)
            try:
                while self._waiting[0] is not turn or self._must_wait():
                    turn.wait(min(self._hold_seconds() or _CHECK_SECONDS, _CHECK_SECONDS))
                    if abandoned.is_set():
                        raise AbandonedError
                self._in_flight += 1
            finally:
                self._waiting.remove(turn)
                self._wake_next()
            return Slot(self._generation)

    def _wake_next(self) -> None:
        if self._waiting:
            self._waiting[0].notify()

    def _must_wait(self) -> bool:
        return self._in_flight >= self.limit or self._hold_seconds() is not None

    def _hold_seconds(self) -> float | None:
        """Return the remaining seconds of a ``Retry-After``; None if it has passed."""
        remaining = self._held_until - self._clock()
        return remaining if remaining > 0 else None

    def _release(self, slot: Slot, *, succeeded: bool) -> None:
        with self._lock:
            self._in_flight -= 1
            if slot.refused:
                self._narrow(slot)
            elif succeeded:
                self._widen(slot)
            self._wake_next()

    def _narrow(self, slot: Slot) -> None:
        self._held_until = max(self._held_until, self._clock() + slot.hold_seconds)
        self._successes = 0
        if slot.generation == self._generation:
            self._generation += 1
            self._refusals = 0
            self._refused_at = self._limit
        elif slot.generation < self._generation - 1:
            return  # sent before the last two narrowings
        # Each refused request that was sent under the same limit was one too many.
        self._refusals += 1
        narrowed = min(int(self._refused_at * _NARROWING), self._refused_at - self._refusals)
        self._limit = max(1, min(self._limit, narrowed))

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
            self._refused_at = _NEVER  # the limit that was refused is accepted now


_limiters: dict[bytes, RequestLimiter] = {}
_limiters_lock = threading.Lock()


def limiter_for(settings: RegistrySettings) -> RequestLimiter:
    """Return the process's only limiter for this base URL and keys.

    A client with a ``max_requests`` sets the maximum for all that share the limiter; the last wins.
    """
    # Hashed, so that a dump of this dictionary shows no key.
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
