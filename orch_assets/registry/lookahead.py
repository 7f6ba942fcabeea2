"""Fetches pages ahead of their reader."""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")

Fetch = Callable[[int, threading.Event], T]


class Lookahead(Generic[T]):
    """A bounded window of pages in flight.

    Each page ahead has a daemon thread of its own, which carries the reader's context variables
    and ends with its page: there is no pool to close, to starve in, or to keep the interpreter.
    Beside five hundred rows of work a thread's start doesn't show.

    Args:
        fetch: gets a page by its number; is told by the event that nobody waits any more.
        window: pages in flight, the one that is waited for included.
    """

    def __init__(self, fetch: Fetch[T], window: int) -> None:
        self._fetch = fetch
        self._window = window
        self._flights: dict[int, Future[T]] = {}
        self._abandoned = threading.Event()

    def take(self, number: int, pages: int) -> T:
        """Return a page, and have the next ones of so many on their way."""
        for ahead in range(number + 1, min(number + self._window, pages)):
            if ahead not in self._flights:
                self._flights[ahead] = self._start(ahead)
        flight = self._flights.pop(number, None)
        return flight.result() if flight else self.fresh(number)

    def fresh(self, number: int) -> T:
        """Return a page as it is now, not as it was when it was fetched ahead."""
        return self._fetch(number, self._abandoned)

    def forget(self) -> None:
        """Abandon what is on its way; pages taken later are fetched anew."""
        self._abandoned.set()
        self._abandoned = threading.Event()
        self._flights.clear()

    def _start(self, number: int) -> Future[T]:
        flight: Future[T] = Future()
        context = contextvars.copy_context()
        thread = threading.Thread(
            target=context.run,
            args=(_fly, flight, self._fetch, number, self._abandoned),
            name=f"registry-page-{number}",
            daemon=True,
        )
        thread.start()
        return flight


def _fly(flight: Future[T], fetch: Fetch[T], number: int, abandoned: threading.Event) -> None:
    try:
        flight.set_result(fetch(number, abandoned))
    except BaseException as error:  # noqa: BLE001 - the reader raises it
        flight.set_exception(error)
