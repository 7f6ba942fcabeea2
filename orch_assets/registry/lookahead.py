"""Fetches pages ahead of their reader."""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

T = TypeVar("T")

Fetch = Callable[[int, threading.Event], T]

# Pages that may lie ready, for each that is at work: while a reader writes a row group, its pages
# go on arriving.
_READY: Final = 4


class Lookahead(Generic[T]):
    """A bounded window of pages at work, and a bounded number that lie ready.

    Daemon threads fetch one page after the other while there is one to fetch, and end when there
    is none: there is no pool to close, to starve in, or to keep the interpreter. They carry the
    reader's context variables.

    Args:
        fetch: gets a page by its number; is told by the event that nobody waits any more.
        window: says how many pages may be at work at once, now; with 1 the reader fetches each
            when it asks for it.
    """

    def __init__(self, fetch: Fetch[T], window: Callable[[], int]) -> None:
        self._fetch = fetch
        self._window = window
        self._lock = threading.Lock()
        self._flights: dict[int, Future[T]] = {}
        self._threads = 0
        self._next = 0
        self._end = 0
        self._abandoned = threading.Event()

    def take(self, number: int, pages: int) -> T:
        """Return a page, and have the next ones of so many on their way."""
        window = self._window()
        ready = window * _READY if window > 1 else 0
        with self._lock:
            flight = self._flights.pop(number, None)
            self._next = max(self._next, number + 1)
            self._end = min(number + 1 + ready, pages)
            own = flight is None  # the reader is at work itself
            starting = min(window - self._threads - own, self._end - self._next)
            self._threads += max(starting, 0)
        for _ in range(starting):
            self._start()
        return flight.result() if flight else self.fresh(number)

    def fresh(self, number: int) -> T:
        """Return a page as it is now, not as it was when it was fetched ahead."""
        return self._fetch(number, self._abandoned)

    def forget(self) -> None:
        """Abandon what is on its way; pages taken later are fetched anew."""
        with self._lock:
            self._abandoned.set()
            self._abandoned = threading.Event()
            self._flights.clear()
            self._threads = self._next = self._end = 0

    def _start(self) -> None:
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run,
            args=(self._fly, self._abandoned),
            name="registry-pages",
            daemon=True,
        ).start()

    def _fly(self, abandoned: threading.Event) -> None:
        while (turn := self._turn(abandoned)) is not None:
            number, flight = turn
            try:
                flight.set_result(self._fetch(number, abandoned))
            except BaseException as error:  # noqa: BLE001 - the reader raises it
                flight.set_exception(error)
                return

    def _turn(self, abandoned: threading.Event) -> tuple[int, Future[T]] | None:
        """Return the next page to fetch; None where there is none, which ends the thread."""
        with self._lock:
            if abandoned.is_set():
                return None
            if self._next >= self._end:
                self._threads -= 1
                return None
            number, self._next = self._next, self._next + 1
            flight = self._flights[number] = Future()
            return number, flight
