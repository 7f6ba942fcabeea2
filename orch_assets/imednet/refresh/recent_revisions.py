"""The newest record revisions: read for the table ``records``, and kept for their own."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from orch_assets.study import current_run

if TYPE_CHECKING:
    import pyarrow as pa

_RECENT_SECONDS: Final = 60.0


@dataclass(frozen=True)
class ChangedRows:
    """The rows of a table with a date from ``since`` on.

    Attributes:
        table: The rows, sorted by ID.
        since: The earliest date that was asked for.
        began: When the API sent the first page, by its own clock; None if it doesn't say so.
    """

    table: "pa.Table"
    since: datetime
    began: datetime | None


class RecentRevisions:
    """Keeps a run's last reading of record revisions for each study. Thread-safe.

    Args:
        clock: Returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], tuple[float, ChangedRows]] = {}

    def keep(self, study_key: str, rows: ChangedRows) -> None:
        """Keep a reading for a minute; outside a run, keep nothing."""
        now, run = self._clock(), current_run()
        with self._lock:
            self._kept = {
                key: (read_at, each)
                for key, (read_at, each) in self._kept.items()
                if now - read_at <= _RECENT_SECONDS
            }
            if run is not None:
                self._kept[run, study_key] = now, rows

    def get(self, study_key: str, since: datetime) -> ChangedRows | None:
        """Return this run's reading with all rows from a date on; None if there is none."""
        with self._lock:
            read_at, rows = self._kept.get((current_run() or "", study_key), (0.0, None))
        if rows is None or self._clock() - read_at > _RECENT_SECONDS or rows.since > since:
            return None
        return rows
