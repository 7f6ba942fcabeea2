"""Faults that the simulator produces on purpose, switched on and off while it runs."""

import threading
from dataclasses import dataclass
from typing import Literal, get_args

FaultKind = Literal[
    "status",  # an error with this HTTP status, with or without Retry-After
    "delay",  # the correct answer after `seconds`
    "reset",  # the connection is reset before the answer
    "cut",  # the connection is closed after half of the body that Content-Length declares
    "html",  # an HTML page with status 200
    "content_type",  # the correct body with the content type text/plain
    "error_envelope",  # an error envelope with status 200
    "wrong_page",  # another page, with its own page number
    "repeated_page",  # the rows of the previous page, with the requested page number
    "empty",  # no rows, with the correct totals
    "missing",  # an answer without the key `data`
    "shrunk",  # the correct rows, with half of the correct totals
    "other_study",  # the correct rows, with another study's key
]

QueryFaultKind = Literal[  # how the server misunderstands the query of a request
    "other_order",  # the correct rows in the reverse order, with the requested `sort`
    "ignored_filter",  # all rows, as if the request had no filter
    "refused_filter",  # a validation error (status 400) about the filter
    "other_zone",  # the filter's dates are read in a zone that is `hours` ahead of UTC
]

_KINDS = (*get_args(FaultKind), *get_args(QueryFaultKind))
_FILTER_KINDS = {"ignored_filter", "refused_filter", "other_zone"}


@dataclass(frozen=True)
class Fault:
    """One fault, and the requests that it affects.

    The kinds that concern a filter affect, and count, only requests that have one.

    Attributes:
        kind: What happens; see :data:`FaultKind` and :data:`QueryFaultKind`.
        endpoint: The affected endpoint, such as ``"records"``; None for all.
        study_key: The affected study; None for all.
        page: The affected 0-based page; None for all.
        times: The number of affected requests; None for all.
        status: The HTTP status of the kind ``status``.
        retry_after: The header ``Retry-After`` of the kind ``status``; None to send none.
        seconds: The duration of the kind ``delay``.
        hours: How far the zone of the kind ``other_zone`` is ahead of UTC; negative for behind.

    Example:
        >>> Fault("status", endpoint="records", times=2, status=429, retry_after="1").times
        2
    """

    kind: FaultKind | QueryFaultKind
    endpoint: str | None = None
    study_key: str | None = None
    page: int | None = None
    times: int | None = None
    status: int = 500
    retry_after: str | None = None
    seconds: float = 0.0
    hours: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            kinds = ", ".join(_KINDS)
            raise ValueError(f"There is no fault {self.kind!r}. Choose one of: {kinds}.")

    def hits(
        self, endpoint: str | None, study_key: str | None, page: int | None, *, filtered: bool
    ) -> bool:
        """Return whether the fault affects such a request."""
        return (
            (filtered or self.kind not in _FILTER_KINDS)
            and self.endpoint in {None, endpoint}
            and self.study_key in {None, study_key}
            and self.page in {None, page}
        )


class Faults:
    """The faults of a server. Any thread may change them.

    If several faults affect a request, all delays apply, and of the others only the one that was
    added first.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._remaining: list[int | None] = []

    def add(self, *faults: Fault) -> None:
        """Switch faults on."""
        with self._lock:
            self._faults.extend(faults)
            self._remaining.extend(fault.times for fault in faults)

    def clear(self) -> None:
        """Switch all faults off."""
        with self._lock:
            self._faults.clear()
            self._remaining.clear()

    @property
    def active(self) -> list[Fault]:
        """The faults that can still happen."""
        with self._lock:
            return [
                fault
                for fault, remaining in zip(self._faults, self._remaining, strict=True)
                if remaining != 0
            ]

    def take(
        self,
        endpoint: str | None,
        study_key: str | None,
        page: int | None,
        *,
        filtered: bool = False,
    ) -> list[Fault]:
        """Return the faults of one request, and count them as used."""
        taken: list[Fault] = []
        with self._lock:
            for index, fault in enumerate(self._faults):
                remaining = self._remaining[index]
                if remaining == 0 or not fault.hits(endpoint, study_key, page, filtered=filtered):
                    continue
                if fault.kind != "delay" and any(other.kind != "delay" for other in taken):
                    continue
                taken.append(fault)
                self._remaining[index] = None if remaining is None else remaining - 1
        return taken
