"""The clock of the simulated account, from which every date of an edit is taken."""

import threading
from datetime import UTC, datetime, timedelta

from orch_assets.demo.studies.plans import DATA_CUT, stamp


class AccountClock:
    """The account's clock. It never reads ours: it stands still until it is changed.

    It starts one second after the latest date of the made-up studies. Any thread may use it.

    Attributes:
        tick: The time that passes with each edit, so that edits have different dates. Zero lets
            them share one.
        late: How much earlier than the clock edits are dated, as if each had begun then and were
            committed only now. Zero for an account that commits at once.

    Example:
        >>> clock = AccountClock()
        >>> clock.text
        '2025-06-30 12:00:01'
        >>> clock.advance(timedelta(hours=-1))
        >>> clock.text
        '2025-06-30 11:00:01'
    """

    def __init__(self) -> None:
        self.tick = timedelta(seconds=1)
        self.late = timedelta(0)
        self._lock = threading.Lock()
        self._now = DATA_CUT.replace(tzinfo=UTC) + timedelta(seconds=1)

    @property
    def now(self) -> datetime:
        """The time, in UTC and whole seconds."""
        return self._now

    @property
    def text(self) -> str:
        """The time as the API writes it."""
        return stamp(self._now)

    def set(self, moment: datetime) -> None:
        """Set the clock. Fractions of a second are dropped, because the API has none.

        Raises:
            ValueError: The moment has no time zone.
        """
        if moment.tzinfo is None:
            raise ValueError("The account's clock needs a moment with a time zone, such as UTC.")
        with self._lock:
            self._now = moment.astimezone(UTC).replace(microsecond=0)

    def advance(self, duration: timedelta) -> None:
        """Move the clock; a negative duration steps back."""
        with self._lock:
            self._now += duration

    def next_edit(self) -> datetime:
        """Return the date of the next edit, and let one tick pass."""
        with self._lock:
            moment = self._now - self.late
            self._now += self.tick
        return moment
