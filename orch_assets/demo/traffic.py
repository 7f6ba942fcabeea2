"""What was asked of the server: a log without header values, and a limit of requests in flight."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class RequestEntry:
    """One request.

    Attributes:
        path: percent-encoded, without the query.
        endpoint: its endpoint's name; None for what is no endpoint.
        study_key: the study asked for.
        page: 0-based; None where none, or garbage, was given.
        size: likewise.
        started: monotonic seconds.
        ended: monotonic seconds; None while the request is in flight.
        status: HTTP status of the answer; None without one (reset, in flight).
    """

    path: str
    endpoint: str | None = None
    study_key: str | None = None
    page: int | None = None
    size: int | None = None
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    status: int | None = None


class Traffic:
    """The requests of a server. Any thread may read them, and change the limit.

    Attributes:
        limit: requests in flight above which the server answers 429; None for no limit.
        retry_after: the ``Retry-After`` of those answers; None sends none.
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
        """All requests so far, by their start."""
        with self._lock:
            return list(self._log)

    @property
    def in_flight(self) -> int:
        """Requests in flight now."""
        return self._in_flight

    @property
    def max_in_flight(self) -> int:
        """The most requests that were in flight at once."""
        return self._max_in_flight

    def clear(self) -> None:
        """Forget the log and the maximum."""
        with self._lock:
            self._log.clear()
            self._max_in_flight = self._in_flight

    def over_limit(self) -> bool:
        """Return whether more requests are in flight than the limit allows."""
        limit = self.limit
        return limit is not None and self._in_flight > limit

    @contextmanager
    def request(self, entry: RequestEntry) -> Iterator[None]:
        """Hold a request in flight, until its end was noted or the block is left."""
        with self._lock:
            self._log.append(entry)
            self._in_flight += 1
            self._max_in_flight = max(self._max_in_flight, self._in_flight)
        try:
            yield
        finally:
            self.end(entry)

    def end(self, entry: RequestEntry) -> None:
        """Note that a request is in flight no more; once is enough."""
        with self._lock:
            if entry.ended is None:
                entry.ended = time.monotonic()
                self._in_flight -= 1
