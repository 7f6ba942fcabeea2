"""What is due later, made by whoever waits for it."""

import heapq
import itertools
import threading
from collections.abc import Callable

Call = Callable[[], object]


class Timers:
    """Calls with the time at which each is due. Any thread may add one, one thread makes them.

    Args:
        clock: seconds, monotonic.
        hurry: called when a new call is due before all others: the wait has become shorter.
    """

    def __init__(self, clock: Callable[[], float], hurry: Callable[[], object]) -> None:
        self.now = clock
        self._hurry = hurry
        self._lock = threading.Lock()
        self._heap: list[tuple[float, int, Call]] = []
        self._order = itertools.count()

    def at(self, due: float, call: Call) -> None:
        """Add a call for when the clock reads so many seconds."""
        entry = (due, next(self._order), call)
        with self._lock:
            heapq.heappush(self._heap, entry)
            first = self._heap[0] is entry
        if first:
            self._hurry()

    def after(self, seconds: float, call: Call) -> None:
        """Add a call for so many seconds from now."""
        self.at(self.now() + seconds, call)

    def make_due(self) -> float | None:
        """Make the calls that are due; return the seconds to the next, None without one."""
        while True:
            with self._lock:
                if not self._heap:
                    return None
                left = self._heap[0][0] - self.now()
                if left > 0:
                    return left
                call = heapq.heappop(self._heap)[2]
            call()
