"""The server's log of requests, without header values, and its limit of requests in flight."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class RequestEntry:
    """One request.

    Attributes:
        path: The percent-encoded path, without the query.
        endpoint: The endpoint's name; None if the path belongs to no endpoint.
        study_key: The requested study; None if the path names none.
        page: The 0-based page number; None if the endpoint has no pages or the value is invalid.
        size: The requested number of rows; None in the same cases.
        filtered: Whether it has a filter.
        started: When the request arrived, in monotonic seconds.
        ended: When its answer was complete, in monotonic seconds; None while it is in flight.
        status: The HTTP status of the answer; None without an answer (in flight, or reset).
    """

    path: str
    endpoint: str | None = None
    study_key: str | None = None
    page: int | None = None
    size: int | None = None
    filtered: bool = False
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    status: int | None = None


class Traffic:
    """The requests of a server. Any thread may read them and change the limit.

    Attributes:
        limit: The number of requests in flight above which the server answers with status 429.
            None for no limit.
        retry_after: The header ``Retry-After`` of those answers; None to send none.
    """

    def __init__(self) -> None:
        self.limit: int | None = None
        self.retry_after: str | None = None
        self._lock = threading.Lock()
        self._log: list[RequestEntry] = []
        self._in_flight = 0
        self._max_in_flight = 0

    @property
    def log(self) -> list[RequestEntry]:
        """All requests so far, in the order of their arrival."""
        with self._lock:
            return list(self._log)

    @property
    def in_flight(self) -> int:
        """The number of requests in flight now."""
        return self._in_flight

    @property
    def max_in_flight(self) -> int:
        """The largest number of requests that were in flight at once."""
        return self._max_in_flight

    def clear(self) -> None:
        """Clear the log and reset the maximum."""
        with self._lock:
            self._log.clear()
            self._max_in_flight = self._in_flight

    def over_limit(self) -> bool:
        """Return whether more requests are in flight than the limit allows."""
        limit = self.limit
        return limit is not None and self._in_flight > limit

    @contextmanager
    def request(self, entry: RequestEntry) -> Iterator[None]:
        """Count a request as in flight until :meth:`end` is called or the block ends."""
        with self._lock:
            self._log.append(entry)
            self._in_flight += 1
            self._max_in_flight = max(self._max_in_flight, self._in_flight)
        try:
            yield
        finally:
            self.end(entry)

    def end(self, entry: RequestEntry) -> None:
        """Record that a request is no longer in flight; further calls do nothing."""
        with self._lock:
            if entry.ended is None:
                entry.ended = time.monotonic()
                self._in_flight -= 1
