"""Limits the requests in flight: one limit per base URL and keys in the whole process.

If the account's slots are shared with other processes, this process has a number of them, which a
thread divides anew each second (see :mod:`.slot_division`). A request only counts: it never asks
another process.

The limit adapts only to overload that the API reports (429, 503, ``Retry-After``), never to the
time an answer takes. A refusal narrows the limit at once, by a fifth or more. Successes widen it by
one at a time: quickly if nothing was refused, slowly towards the limit that was last refused.
"""

import contextlib
import math
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from orch_assets.imednet.request_limits.slot_members import Narrowing
from orch_assets.imednet.request_limits.uptime import uptime
from orch_assets.imednet.settings import DEFAULT_MAX_REQUESTS

_NARROWING = 0.8
# Successes before the limit that was last refused is tried again. With one refusal for each trial,
# 30 keep the share of refused requests under 4 %; a larger number would delay widening.
_PROBE_AFTER = 30
_NEVER = sys.maxsize
# Of two refusals within this time, the one that narrowed the limit further counts.
_GENERATION_SECONDS = 5.0

# How often a waiting request checks whether it was abandoned.
_CHECK_SECONDS = 0.5

# A process wants as many slots as it had requests, waiting or in flight, in this time, or up to
# twice this time.
_DEMAND_SECONDS = 0.5


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


class Division(Protocol):
    """What divides the account's slots among processes."""

    def wake(self) -> None:
        """Divide now. Called with the limiter's lock held: must not wait for the limiter."""


class RequestLimiter:
    """A limit of requests in flight, shared by many threads: first come, first served.

    Args:
        maximum: The upper bound of the limit.
        clock: A clock in seconds that is never set; the machine's uptime except in tests.
    """

    def __init__(
        self,
        maximum: int = DEFAULT_MAX_REQUESTS,
        *,
        clock: Callable[[], float] = uptime,
    ) -> None:
        self._clock = clock
        self._maximum = maximum
        self._limit = maximum
        self._held_until = self._own_hold = float("-inf")
        self._refused_at = _NEVER
        self._refusals = 0
        self._successes = 0
        self._generation = self._earlier_generation = 0
        self._widenings = 0
        self._common_offset = 0.0
        self._division: Division | None = None
        self._forget_requests()

    def _forget_requests(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[threading.Condition] = deque()
        self._in_flight = 0
        # Of the account's slots: those that this process may use now, its share, and all of them.
        self._allotted = self._share = 0 if self._division else _NEVER
        self._allotted_until = math.inf
        self._total = _NEVER
        self._wanted = self._peak = self._earlier_peak = 0
        self._peaks_began = self._clock()

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
        """How many requests this process may have in flight now."""
        if self._allotted == _NEVER:
            return self._limit
        if self._clock() > self._allotted_until:
            return 0
        return min(self._limit, self._allotted)

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
            if self._division is not None:
                self._note_demand(self._division)
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
            if self._division is not None and (slot.refused or self._allotted > self._share):
                self._division.wake()
            self._lower_to_share()
            if slot.refused:
                self._narrow(slot)
            elif succeeded:
                self._widen(slot)
            self._wake_next()

    def _narrow(self, slot: Slot) -> None:
        self._own_hold = max(self._own_hold, self._clock() + slot.hold_seconds)
        self._held_until = max(self._held_until, self._own_hold)
        self._successes = 0
        if slot.generation == self._generation:
            self._enter(self._next_generation())
            self._refusals = self._widenings = 0
            self._refused_at = min(self._limit, self._maximum, self._total)
        elif slot.generation < self._earlier_generation:
            return  # sent before the last two narrowings
        # Each refused request that was sent under the same limit was one too many.
        self._refusals += 1
        narrowed = min(int(self._refused_at * _NARROWING), self._refused_at - self._refusals)
        self._limit = max(1, min(self._limit, narrowed))

    def _next_generation(self) -> int:
        """Return a number above the last that orders the refusals of all processes by time."""
        now = self._clock() + self._common_offset
        return max(self._generation + 1, int(now // _GENERATION_SECONDS))

    def _enter(self, generation: int) -> None:
        self._earlier_generation, self._generation = self._generation, generation

    def _widen(self, slot: Slot) -> None:
        if self._limit >= self._maximum or slot.generation != self._generation:
            return
        self._successes += 1
        probing = self._limit + 1 >= self._refused_at
        needed = _PROBE_AFTER if probing else self._limit
        if self._allotted < self._limit:  # the other processes have their part of the successes
            needed = math.ceil(needed * self._allotted / self._limit)
        if self._successes < needed:
            return
        self._successes = 0
        self._limit += 1
        self._widenings += 1
        if self._limit > self._refused_at:
            self._refused_at = _NEVER  # the limit that was refused is accepted now

    # What the division of an account's slots among processes needs.

    def divide(self, division: Division) -> None:
        """Use only slots that a division allots from now on."""
        with self._lock:
            self._division = division
            self._allotted = self._share = 0
            if self._waiting:
                self._note_demand(division)

    def demand(self) -> int:
        """Return how many slots this process has needed at once within the last second."""
        with self._lock:
            self._wanted = max(self._peak, self._earlier_peak)
            if self._clock() - self._peaks_began >= _DEMAND_SECONDS:
                self._earlier_peak, self._peak = self._peak, self._in_flight + len(self._waiting)
                self._peaks_began = self._clock()
            return self._wanted

    @property
    def is_busy(self) -> bool:
        """Whether a request is in flight, or waits."""
        return bool(self._in_flight or self._waiting)

    def narrowing(self) -> tuple[Narrowing, float]:
        """Return how far the account's limit is narrowed, and what remains of a ``Retry-After``.

        Only of answers to this process: of others' that are passed on, none would end.
        """
        with self._lock:
            refused_at = 0 if self._refused_at == _NEVER else self._refused_at
            narrowing = Narrowing(self._generation, self._widenings, self._limit, refused_at)
            return narrowing, max(0.0, self._own_hold - self._clock())

    def adopt(self, narrowing: Narrowing, held_until: float, common_offset: float) -> None:
        """Follow what another process learned of the account's limit, if it is newer.

        Args:
            narrowing: The newest of all processes.
            held_until: When a ``Retry-After`` ends, by this process's clock.
            common_offset: What to add to this process's clock for the one that all share.
        """
        with self._lock:
            self._common_offset = common_offset
            self._held_until = max(self._held_until, held_until)
            own = Narrowing(self._generation, self._widenings, self._limit, 0)
            if narrowing.generation and narrowing.is_newer_than(own):
                if narrowing.generation > self._generation:
                    self._refusals = 0
                    self._enter(narrowing.generation)
                self._widenings = narrowing.widenings
                self._limit, self._successes = narrowing.limit, 0
                self._refused_at = narrowing.refused_at or _NEVER
            self._wake_next()

    def lower(self, share: int) -> int:
        """Keep to a share, if it is less than the slots in use; return how many must be held."""
        with self._lock:
            self._share = share
            self._lower_to_share()
            return self._allotted

    def allot(self, held: int, total: int, until: float = math.inf) -> None:
        """Use slots that are held now.

        Args:
            held: How many this process holds.
            total: How many the account has, narrowed.
            until: When they are lost, unless they are allotted again.
        """
        with self._lock:
            self._allotted, self._allotted_until, self._total = held, until, total
            self._lower_to_share()
            self._wake_next()

    def forget(self) -> None:
        """Start afresh in a forked process: its parent's requests and slots aren't its own."""
        self._forget_requests()

    def _lower_to_share(self) -> None:
        # A slot may be given back only once no request uses it.
        if self._allotted > self._share:
            self._allotted = min(self._allotted, max(self._share, self._in_flight))

    def _note_demand(self, division: Division) -> None:
        demand = self._in_flight + len(self._waiting)
        self._peak = max(self._peak, demand)
        if demand > self._wanted and (not self._wanted or self._in_flight >= self._allotted):
            division.wake()
