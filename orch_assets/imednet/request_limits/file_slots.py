"""Slots as locks on files: for processes of one machine.

The kernel drops a lock when its process ends, however it ends. A descriptor that a child inherits
by a fork shares the lock, so the child closes it. Files are never removed, so that nobody locks one
that others no longer see: a file without a lock counts for nothing.
"""

import fcntl
import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from orch_assets.imednet.request_limits.slot_places import DEFAULT_PROCESSES, SeenMembers

_FOLDER: Final = "request_limits"
_MEMBER: Final = "member-"
_TEXT_BYTES: Final = 64


@dataclass(frozen=True)
class FileSlots:
    """Locks on files in a folder of a local disk.

    Attributes:
        folder: A folder that all processes of the account share, such as ``DAGSTER_HOME``.
        processes: The number of processes to expect if the folder can't be used.

    Example:
        >>> str(FileSlots(Path("/srv/dagster")))
        'files in /srv/dagster/request_limits'
    """

    folder: Path | str
    processes: int = DEFAULT_PROCESSES

    def open(self, account: str, name: str) -> "LockedFiles":
        """Open the slots of an account; creates its folder."""
        return LockedFiles(Path(self.folder, _FOLDER, account), name)

    def __str__(self) -> str:
        return f"files in {Path(self.folder, _FOLDER)}"


class LockedFiles:
    """The slots of an account in its folder."""

    lease_seconds: ClassVar[float] = float("inf")

    def __init__(self, folder: Path, name: str) -> None:
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._name = name
        self._own: int | None = None
        self._held: dict[int, int] = {}

    def publish(self, text: str | None) -> SeenMembers:
        """Write this process's file; return what the files of living processes say."""
        if text is None:
            self._withdraw()
        else:
            self._write(text)
        # The clock counts since the machine started, for all its processes alike.
        return SeenMembers(time.monotonic(), self._others())

    def hold(self, count: int, most: int) -> int:
        """Unlock the last slots, or lock free ones, to hold a number of them."""
        for slot in [slot for slot, file in self._held.items() if not os.fstat(file).st_nlink]:
            os.close(self._held.pop(slot))  # somebody removed the file: others can't see its lock
        for slot in sorted(self._held, reverse=True)[: max(0, len(self._held) - count)]:
            os.close(self._held.pop(slot))
        for slot in range(most):
            if len(self._held) >= count:
                break
            if slot not in self._held and (file := self._lock(f"slot-{slot}")) is not None:
                self._held[slot] = file
        return len(self._held)

    def close(self) -> None:
        """Unlock all files."""
        self._withdraw()
        self.abandon()

    def abandon(self) -> None:
        """Close the inherited files. Their locks are the parent's, and stay."""
        files = [*self._held.values(), *([] if self._own is None else [self._own])]
        self._held, self._own = {}, None
        for file in files:
            os.close(file)

    def _lock(self, name: str) -> int | None:
        """Lock a file; return None if another process has locked it."""
        file = os.open(self._folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        except OSError:
            os.close(file)
            raise
        return file

    def _write(self, text: str) -> None:
        if self._own is not None and not os.fstat(self._own).st_nlink:
            self._withdraw()  # somebody removed the file
        numbers = itertools.count()
        while self._own is None:
            self._own = self._lock(f"{_MEMBER}{next(numbers)}")
        # In one piece, so that nobody reads half of it.
        os.pwrite(self._own, f"{self._name} {text}".ljust(_TEXT_BYTES).encode(), 0)

    def _withdraw(self) -> None:
        if self._own is not None:
            os.close(self._own)
            self._own = None

    def _others(self) -> dict[str, str]:
        found = {}
        for entry in os.listdir(self._folder):  # noqa: PTH208 - pathlib makes an object of each
            if entry.startswith(_MEMBER):
                name, _, text = self._text_of(entry).partition(" ")
                if name not in ("", self._name):
                    found[name] = text
        return found

    def _text_of(self, entry: str) -> str:
        """Return what a living process wrote; empty if it is dead."""
        file = os.open(self._folder / entry, os.O_RDWR)
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.pread(file, _TEXT_BYTES, 0).decode("ascii", "replace").strip()
        else:
            return ""
        finally:
            os.close(file)
