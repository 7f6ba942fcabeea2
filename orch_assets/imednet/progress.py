"""How far the readings of this process are: in the log now and then, and for whoever shows it."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from orch_assets.imednet.paging import ReadingCounts

# Of each reading; one that is shorter says nothing.
_TELL_SECONDS: Final = 10.0

_log = logging.getLogger("orch_assets.imednet")


@dataclass(eq=False)
class ReadingProgress:
    """One reading that is under way.

    Attributes:
        study_key: the study; None for the list of studies.
        endpoint: the table's name in the API.
        page_size: rows of a full page.
        counts: how it goes.
        began: when, by ``time.monotonic``.
    """

    study_key: str | None
    endpoint: str
    page_size: int
    counts: "ReadingCounts"
    began: float = field(default_factory=time.monotonic)
    _told: float = field(default_factory=time.monotonic)

    @property
    def pages(self) -> int | None:
        """Pages of the whole table; None before the first has come."""
        expected = self.counts.expected
        return None if expected is None else max(-(-expected // self.page_size), 1)

    @property
    def rows_per_second(self) -> float:
        """Rows that arrived in a second, so far."""
        return self.counts.arrived / max(time.monotonic() - self.began, 1e-9)

    def __str__(self) -> str:
        counts = self.counts
        pages = "?" if self.pages is None else f"{self.pages:,}"
        return (
            f"{self.study_key or 'registry'} {self.endpoint}: page {counts.pages:,} of {pages}, "
            f"{counts.arrived:,} rows, {self.rows_per_second:,.0f} rows/s, "
            f"{counts.retries:,} retries"
        )

    def tell(self) -> None:
        """Log how far it is, unless that was done a moment ago."""
        now = time.monotonic()
        if now - self._told >= _TELL_SECONDS:
            self._told = now
            _log.info("%s", str(self))  # as it is now, whenever it is written


_under_way: dict[int, ReadingProgress] = {}
_lock = threading.Lock()


@contextmanager
def under_way(progress: ReadingProgress) -> Iterator[None]:
    """Have a reading among those under way while the block lasts."""
    with _lock:
        _under_way[id(progress)] = progress
    try:
        yield
    finally:
        with _lock:
            del _under_way[id(progress)]


def readings_under_way() -> list[ReadingProgress]:
    """Return the readings of this process, the oldest first."""
    with _lock:
        return list(_under_way.values())
