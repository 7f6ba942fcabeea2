"""How many days the account of ``make demo`` has lived, in a file of a ``DAGSTER_HOME``.

Each process on that home has a simulator of its own. They agree because an account depends only on
its parameters and its days, and because all of them read the days here.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

from orch_assets.errors import SettingError

# The file is in DAGSTER_HOME, beside the demo's tables: who deletes one deletes the other.
_FILE: Final = "demo_days"
# An account's days are lived anew by each process, at 30 ms a day for twelve studies.
MOST_DAYS: Final = 90


def demo_days(home: Path | None) -> int:
    """Return how many days the account of a home has lived; 0 without a home.

    Args:
        home: An existing folder; None if there is none.

    Raises:
        SettingError: The file holds something else.
    """
    if home is None:
        return 0
    try:
        return _number(home, (home / _FILE).read_text())
    except FileNotFoundError:
        return 0


def begin_demo_day(home: Path) -> int:
    """Let the account of a home live one more day; return how many it has lived then.

    The first call leaves it as it is, because nobody has read it yet. So does each call after
    ``MOST_DAYS``. The number never falls, also if two processes call this at once.

    Args:
        home: An existing folder.

    Raises:
        SettingError: The file holds something else.
    """
    descriptor = os.open(home / _FILE, os.O_RDWR | os.O_CREAT, 0o600)
    with open(descriptor, "r+") as file:  # noqa: PTH123 - of a descriptor
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read()
        days = min(_number(home, text) + 1, MOST_DAYS) if text else 0
        file.seek(0)
        file.write(f"{days}\n")
    return days


def _number(home: Path, text: str) -> int:
    # A process that was killed when it had created the file leaves it empty.
    if text and not text.strip().isdecimal():
        raise SettingError(
            str(home / _FILE), "must hold the number of days. Delete it to start anew."
        )
    return int(text or 0)
