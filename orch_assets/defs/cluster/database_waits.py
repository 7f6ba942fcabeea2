"""Waiting for Dagster's database, which may be away for a while, or refuse this process."""

import os
import sys
import time
from collections.abc import Callable
from typing import Final, NoReturn, TypeVar

T = TypeVar("T")

_AWAY_SECONDS: Final = 1.0
_SECONDS_PER_LINE: Final = 60
# Of sysexits.h: an internal error of a system that the process belongs to.
_EXIT_CODE: Final = 70
# What libpq says of a server that answers and lets nobody in: its errors have no code then.
_REFUSALS: Final = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "pg_hba.conf rejects connection",
    "is not permitted to log in",
)


def end_process(reason: str) -> NoReturn:
    """End this process at once, like a kill -9: nothing of its run may go on."""
    sys.stderr.write(f"{reason} This process ends, and has published nothing since.\n")
    sys.stderr.flush()
    os._exit(_EXIT_CODE)


def while_away(
    call: Callable[[], T],
    most_seconds: float,
    *,
    before: Callable[[], object] = lambda: None,
    end: Callable[[str], NoReturn] = end_process,
) -> T:
    """Make a call to Dagster's database; repeat it while the database is away.

    Every minute, a line on stderr says so.

    Args:
        call: The call.
        most_seconds: The longest wait. Then the process ends.
        before: Is called before each attempt.
        end: Ends the process; also if the database is there and refuses it.
    """
    begun, lines = time.monotonic(), 0
    while True:
        before()
        try:
            return call()
        except Exception as error:
            if is_refused(error):
                end("Dagster's database refuses this process: look at its address and password.")
            if not is_away(error):
                raise
        waited = time.monotonic() - begun
        if waited >= most_seconds:
            end(f"Dagster's database has been away for {waited:.0f} seconds.")
        if waited >= _SECONDS_PER_LINE * (lines + 1):
            lines += 1
            sys.stderr.write(f"Dagster's database has been away for {waited:.0f} seconds.\n")
            sys.stderr.flush()
        time.sleep(_AWAY_SECONDS)


def is_away(error: BaseException | None) -> bool:
    """Return whether an error says that the database can't be reached or answers nobody now."""
    from sqlalchemy.exc import InterfaceError, OperationalError

    while error is not None:
        is_dagsters = type(error).__name__ == "DagsterPostgresException"
        if is_dagsters or isinstance(error, (InterfaceError, OperationalError)):
            return True
        error = error.__cause__
    return False


def is_refused(error: BaseException | None) -> bool:
    """Return whether an error says that the database is there and doesn't let this process in.

    A new server that has another database, or none of this name yet, refuses as well.
    """
    from sqlalchemy.exc import OperationalError

    while error is not None:
        if isinstance(error, OperationalError):
            text = str(error.orig)
            missing = "FATAL" in text and "does not exist" in text
            return missing or any(each in text for each in _REFUSALS)
        error = error.__cause__
    return False
