"""What can go wrong on purpose: switched on and off while the server runs."""

import threading
from dataclasses import dataclass
from typing import Literal, get_args

FaultKind = Literal[
    "status",  # an error of that HTTP status, with or without Retry-After
    "delay",  # the right answer, `seconds` late
    "reset",  # the connection is reset before any answer
    "cut",  # half of the body that Content-Length declares, then the connection is closed
    "html",  # a page of HTML at 200
    "content_type",  # the right body, called text/plain
    "error_envelope",  # an error's envelope at 200
    "wrong_page",  # another page's whole answer, its number included
    "repeated_page",  # the rows of the page before, under the number asked for
    "empty",  # no rows; the totals stay
    "missing",  # no `data` at all
    "shrunk",  # the right rows; the totals are half of what they were
    "other_study",  # the right rows, but they say that they are another study's
]


@dataclass(frozen=True)
class Fault:
    """One fault, and which requests it hits.

    Attributes:
        kind: what happens.
        endpoint: only this endpoint (``"records"``); None for any.
        study_key: only this study; None for any.
        page: only this 0-based page; None for any.
        times: how often it happens; None for always.
        status: for ``status``.
        retry_after: for ``status``: the header's value; None sends none.
        seconds: for ``delay``.

    Example:
        >>> Fault("status", endpoint="records", times=2, status=429, retry_after="1").times
        2
    """

    kind: FaultKind
    endpoint: str | None = None
    study_key: str | None = None
    page: int | None = None
    times: int | None = None
    status: int = 500
    retry_after: str | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"{self.kind!r} is no fault; known: {', '.join(get_args(FaultKind))}")

    def hits(self, endpoint: str | None, study_key: str | None, page: int | None) -> bool:
        """Return whether the fault is meant for such a request."""
        return (
            self.endpoint in {None, endpoint}
            and self.study_key in {None, study_key}
            and self.page in {None, page}
        )


class Faults:
    """The faults of a server. Any thread may change them.

    Of all faults that hit a request, the delays add up, and of the others the one that was added
    first happens.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._left: list[int | None] = []

    def add(self, *faults: Fault) -> None:
        """Switch faults on."""
        with self._lock:
            self._faults.extend(faults)
            self._left.extend(fault.times for fault in faults)

    def clear(self) -> None:
        """Switch all faults off."""
        with self._lock:
            self._faults.clear()
            self._left.clear()

    @property
    def active(self) -> list[Fault]:
        """The faults that may still happen."""
        with self._lock:
            return [
                fault for fault, left in zip(self._faults, self._left, strict=True) if left != 0
            ]

    def take(self, endpoint: str | None, study_key: str | None, page: int | None) -> list[Fault]:
        """Return the faults of one request, and count them as happened."""
        taken: list[Fault] = []
        with self._lock:
            for index, fault in enumerate(self._faults):
                left = self._left[index]
                if left == 0 or not fault.hits(endpoint, study_key, page):
                    continue
                if fault.kind != "delay" and any(other.kind != "delay" for other in taken):
                    continue
                taken.append(fault)
                self._left[index] = None if left is None else left - 1
        return taken
