"""Fetches pages before their reader asks for them."""

import contextvars
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Generic, TypeAlias, TypeVar

T = TypeVar("T")

# A page's number, and the future that its answer is set on. None: no more pages.
_Job: TypeAlias = "tuple[int, Future[T]] | None"

# Pages that may be ready for each page in progress: while the reader writes a row group, pages
# continue to arrive.
_READY: Final = 4


class Prefetcher(Generic[T]):
    """A bounded window of pages in progress, and a bounded number of pages that are ready.

    Daemon threads fetch one page after another until the reading is abandoned. There is no pool
    to close or to exhaust, and none of these threads delays the interpreter's exit. They carry the
    reader's context variables.

    Args:
        fetch: Returns a page's answer by the page's number. The event is set when the answer is
            no longer needed.
        window: Returns how many pages may be in progress now. With 1, the reader fetches each page
            when it needs it.
    """

    def __init__(
        self, fetch: Callable[[int, threading.Event], T], window: Callable[[], int]
    ) -> None:
        self._fetch = fetch
        self._window = window
        self._reset()

    def _reset(self) -> None:
        self._abandoned = threading.Event()
        self._jobs: queue.SimpleQueue[_Job[T]] = queue.SimpleQueue()
        self._answers: dict[int, Future[T]] = {}
        self._next = 0
        self._threads = 0

    def take(self, number: int, pages: int) -> T:
        """Return a page's answer, and prefetch the next ones of a table of that many pages."""
        window = self._window()
        answer = self._answers.pop(number, None)
        most_threads = window - (answer is None)  # the reader fetches this page itself
        while self._threads > most_threads:  # other readings have begun
            self._jobs.put(None)
            self._threads -= 1
        ready = window * _READY if window > 1 else 0
        self._next = max(self._next, number + 1)
        while self._next < min(number + 1 + ready, pages):
            self._prefetch(self._next, most_threads)
            self._next += 1
        return answer.result() if answer else self.fetch(number)

    def fetch(self, number: int) -> T:
        """Return a page's answer as of now, not one that was prefetched."""
        return self._fetch(number, self._abandoned)

    def abandon(self) -> None:
        """Abandon the prefetched pages; pages taken later are fetched anew."""
        self._abandoned.set()
        for _ in range(self._threads):
            self._jobs.put(None)
        self._reset()

    def _prefetch(self, number: int, most_threads: int) -> None:
        answer = self._answers[number] = Future()
        self._jobs.put((number, answer))
        if self._threads < most_threads:
            self._threads += 1
            context = contextvars.copy_context()
            threading.Thread(
                target=context.run,
                args=(self._work, self._jobs, self._abandoned),
                name="registry-pages",
                daemon=True,
            ).start()

    def _work(self, jobs: "queue.SimpleQueue[_Job[T]]", abandoned: threading.Event) -> None:
        while (job := jobs.get()) is not None and not abandoned.is_set():
            number, answer = job
            try:
                answer.set_result(self._fetch(number, abandoned))
            except BaseException as error:  # noqa: BLE001 - the reader raises it
                answer.set_exception(error)
