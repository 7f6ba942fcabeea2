"""The progress of this process's readings: logged at intervals, and available for display."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

# Between two log lines of a reading; a shorter reading logs nothing.
_LOG_SECONDS: Final = 10.0

_log = logging.getLogger("orch_assets.imednet")


@dataclass
class ReadingCounts:
    """The counts of a reading; complete when its last row has been passed on.

    Attributes:
        expected: ``totalElements`` as reported by the API. None until the first page arrives.
        arrived: Rows read consistently so far.
        pages: Pages that these rows arrived in.
        retries: Requests beyond one for each page: failed attempts, and pages that were read again.
        replaced_surrogates: Halves of surrogate pairs, which no text can hold, that were replaced
            by U+FFFD in the rows' text. JSON text (``record_data``, ``extra``) keeps them.
    """

    expected: int | None = None
    arrived: int = 0
    pages: int = 0
    retries: int = 0
    replaced_surrogates: int = 0


@dataclass(eq=False)
class ReadingProgress:
    """A reading that is under way.

    Attributes:
        study_key: The study; None for the list of studies.
        endpoint: The table's name in the API.
        page_size: Rows of a full page.
        counts: The counts so far.
        began: Start time, by ``time.monotonic``.
    """

    study_key: str | None
    endpoint: str
    page_size: int
    counts: ReadingCounts
    began: float = field(default_factory=time.monotonic)
    _logged: float = field(default_factory=time.monotonic)

    @property
    def pages(self) -> int | None:
        """Pages of the whole table; None until the first page arrives."""
        expected = self.counts.expected
        return None if expected is None else max(-(-expected // self.page_size), 1)

    @property
    def rows_per_second(self) -> float:
        """Average rows per second since the start."""
        return self.counts.arrived / max(time.monotonic() - self.began, 1e-9)

    def __str__(self) -> str:
        counts = self.counts
        pages = "?" if self.pages is None else f"{self.pages:,}"
        return (
            f"{self.study_key or 'registry'} {self.endpoint}: page {counts.pages:,} of {pages}, "
            f"{counts.arrived:,} rows, {self.rows_per_second:,.0f} rows/s, "
            f"{counts.retries:,} retries"
        )

    def log(self) -> None:
        """Log the progress, unless it was logged less than ten seconds ago."""
        now = time.monotonic()
        if now - self._logged >= _LOG_SECONDS:
            self._logged = now
            _log.info("%s", str(self))  # formatted now: the record may be written later


_under_way: dict[int, ReadingProgress] = {}
# Reentrant: the garbage collector may end an abandoned reading in a thread that has the lock.
_lock = threading.RLock()


@contextmanager
def under_way(progress: ReadingProgress) -> Iterator[None]:
    """List a reading among those under way while the block lasts."""
    with _lock:
        _under_way[id(progress)] = progress
    try:
        yield
    finally:
        with _lock:
            del _under_way[id(progress)]


def readings_under_way() -> list[ReadingProgress]:
    """Return the readings under way in this process, the oldest first."""
    with _lock:
        return list(_under_way.values())
