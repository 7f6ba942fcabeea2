"""A clock that no setting of the time changes, and that goes on while the machine sleeps."""

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)  # on Linux alone


def uptime() -> float:
    """Return the seconds since the machine started; on Linux, those of its sleep included."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)
