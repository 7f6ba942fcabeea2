"""Fetches pages ahead of their reader."""

import contextvars
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Generic, TypeAlias, TypeVar

T = TypeVar("T")

Fetch = Callable[[int, threading.Event], T]

# A page's number and who waits for it; None: no more.
_Asked: TypeAlias = "tuple[int, Future[T]] | None"

# Pages that may lie ready, for each that is at work: while a reader writes a row group, its pages
# go on arriving.
_READY: Final = 4


class Prefetcher(Generic[T]):
    """A bounded window of pages at work, and a bounded number that lie ready.

    Daemon threads fetch one page after the other, and wait for the next ones to be asked for, until
    all is forgotten: there is no pool to close, to starve in, or to keep the interpreter. They
    carry the reader's context variables.

    Args:
        fetch: gets a page by its number; is told by the event that nobody waits any more.
        window: says how many pages may be at work at once, now; with 1 the reader fetches each
            when it asks for it.
    """

    def __init__(self, fetch: Fetch[T], window: Callable[[], int]) -> None:
        self._fetch = fetch
        self._window = window
        self._begin()

    def _begin(self) -> None:
        self._abandoned = threading.Event()
        self._asked: queue.SimpleQueue[_Asked[T]] = queue.SimpleQueue()
        self._flights: dict[int, Future[T]] = {}
        self._next = 0
        self._threads = 0

    def take(self, number: int, pages: int) -> T:
        """Return a page, and have the next ones of so many on their way."""
        window = self._window()
        flight = self._flights.pop(number, None)
        at_work = window - (flight is None)  # the reader is at work itself
        while self._threads > at_work:  # other readings have begun
            self._asked.put(None)
            self._threads -= 1
        ready = window * _READY if window > 1 else 0
        self._next = max(self._next, number + 1)
        while self._next < min(number + 1 + ready, pages):
            self._ask(self._next, at_work)
            self._next += 1
        return flight.result() if flight else self.fresh(number)

    def fresh(self, number: int) -> T:
        """Return a page as it is now, not as it was when it was fetched ahead."""
        return self._fetch(number, self._abandoned)

    def forget(self) -> None:
        """Abandon what is on its way; pages taken later are fetched anew."""
        self._abandoned.set()
        for _ in range(self._threads):
            self._asked.put(None)
        self._begin()

    def _ask(self, number: int, at_work: int) -> None:
        flight = self._flights[number] = Future()
        self._asked.put((number, flight))
        if self._threads < at_work:
            self._threads += 1
            context = contextvars.copy_context()
            threading.Thread(
                target=context.run,
                args=(self._work, self._asked, self._abandoned),
                name="registry-pages",
                daemon=True,
            ).start()

    def _work(self, asked: "queue.SimpleQueue[_Asked[T]]", abandoned: threading.Event) -> None:
        while (asked_for := asked.get()) is not None and not abandoned.is_set():
            number, flight = asked_for
            try:
                flight.set_result(self._fetch(number, abandoned))
            except BaseException as error:  # noqa: BLE001 - the reader raises it
                flight.set_exception(error)
