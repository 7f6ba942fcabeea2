"""The settings of refreshes: how far back they look, and how often all is read."""

import os
import re
from dataclasses import dataclass
from datetime import timedelta

from orch_assets.errors import SettingError

OVERLAP = "ORCH_OVERLAP"
FULL_EVERY = "ORCH_FULL_EVERY"
_DEFAULT_OVERLAP = 3600
_DEFAULT_DAYS = 7


@dataclass(frozen=True)
class RefreshSettings:
    """Checked settings of a client's refreshes.

    Attributes:
        overlap: How much earlier than the newest date the next refresh begins.
        full_every: How old the last whole reading may be; the next one is due two hours earlier.
    """

    overlap: timedelta = timedelta(seconds=_DEFAULT_OVERLAP)
    full_every: timedelta = timedelta(days=_DEFAULT_DAYS)

    @classmethod
    def read(cls, overlap: int | None = None, full_every: int | None = None) -> "RefreshSettings":
        """Read each setting from its argument, else from the environment; blank means unset.

        Args:
            overlap: Seconds.
            full_every: Days.

        Raises:
            SettingError: A setting isn't a whole number, 0 or more.
        """
        seconds = _number(overlap, OVERLAP, "seconds", _DEFAULT_OVERLAP)
        days = _number(full_every, FULL_EVERY, "days", _DEFAULT_DAYS)
        return cls(timedelta(seconds=seconds), timedelta(days=days))


def _number(value: int | None, variable: str, unit: str, default: int) -> int:
    text = os.environ.get(variable, "").strip() if value is None else str(value)
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise SettingError(variable, f"must be a whole number of {unit}, 0 or more.")
    return int(text)
