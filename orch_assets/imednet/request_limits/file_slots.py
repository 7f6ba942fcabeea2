"""Slots as locks on files: for processes of one machine.

The kernel drops a lock when its process ends, however it ends. A descriptor that a child inherits
by a fork shares the lock, so the child closes it; no fork happens while a lock is being taken.
Files are never removed, so that nobody locks one that others no longer see: a file without a lock
counts for nothing.
"""

import contextlib
import fcntl
import itertools
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from orch_assets.imednet.request_limits.slot_places import (
    DEFAULT_PROCESSES,
    SeenMembers,
    usable_slots,
)
from orch_assets.imednet.request_limits.uptime import uptime

_FOLDER: Final = "request_limits"
_MEMBER: Final = "member-"
_SLOT: Final = "slot-"
_TEXT_BYTES: Final = 64

# Held while a descriptor is open that a forked child wouldn't know, and during a fork.
_changing = threading.Lock()


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
        self._folder = folder
        self._make(folder.parent)
        self._make(folder)
        self._name = name
        self._own: int | None = None
        self._held: dict[int, int] = {}

    def publish(self, text: str | None) -> SeenMembers:
        """Write this process's file; return what the files of living processes say."""
        with _changing:
            if text is None:
                self._withdraw()
            else:
                self._write(text)
            return SeenMembers(uptime(), self._others())

    def hold(self, count: int, most: int) -> int:
        """Unlock the last slots, or lock free ones, to hold a number of them."""
        with _changing:
            for slot in [slot for slot, file in self._held.items() if not os.fstat(file).st_nlink]:
                os.close(self._held.pop(slot))  # somebody removed it: others can't see its lock
            for slot in sorted(self._held, reverse=True)[: max(0, len(self._held) - count)]:
                os.close(self._held.pop(slot))
            if len(self._held) < count:
                self._take(count, most)
            return len(self._held)

    def close(self) -> None:
        """Unlock all files."""
        with _changing:
            self.abandon()

    def abandon(self) -> None:
        """Close the inherited files. Their locks are the parent's, and stay."""
        files = [*self._held.values(), *([] if self._own is None else [self._own])]
        self._held, self._own = {}, None
        for file in files:
            os.close(file)

    def _take(self, count: int, most: int) -> None:
        for slot in range(usable_slots(most, self._locked_slots())):
            if slot not in self._held and (file := self._lock(f"{_SLOT}{slot}")) is not None:
                self._held[slot] = file
            if len(self._held) >= count:
                break

    def _locked_slots(self) -> set[int]:
        texts = [entry.removeprefix(_SLOT) for entry in self._entries(_SLOT)]
        numbers = {int(text) for text in texts if text.isdecimal()}
        return {n for n in numbers if n in self._held or self._is_locked(f"{_SLOT}{n}")}

    def _make(self, folder: Path) -> None:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            if (owner := self._owner()) is not None:
                os.chown(folder, *owner, follow_symlinks=False)

    def _open(self, name: str) -> int:
        path = self._folder / name
        how = os.O_RDWR | os.O_NOFOLLOW
        with contextlib.suppress(FileNotFoundError):
            return os.open(path, how)
        try:
            file = os.open(path, how | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:  # another process has made it meanwhile
            return os.open(path, how)
        if (owner := self._owner()) is not None:
            os.fchown(file, *owner)
        return file

    def _owner(self) -> tuple[int, int] | None:
        """Return whose root's files are to be: the others of the account must be able to lock them.

        None for another user, who can't give files away.
        """
        if os.geteuid():
            return None
        home = self._folder.parent.parent.stat()
        return home.st_uid, home.st_gid

    def _lock(self, name: str) -> int | None:
        """Lock a file; return None if another process has locked it."""
        file = self._open(name)
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
            if self._own is not None:
                os.ftruncate(self._own, 0)  # a dead process wrote it
        # In one piece, so that nobody reads half of it.
        os.pwrite(self._own, f"{self._name} {text}".ljust(_TEXT_BYTES).encode(), 0)

    def _withdraw(self) -> None:
        if self._own is not None:
            os.close(self._own)
            self._own = None

    def _others(self) -> dict[str, str]:
        found = {}
        for entry in self._entries(_MEMBER):
            name, _, text = self._text_of(entry).partition(" ")
            if name not in ("", self._name):
                found[name] = text
        return found

    def _entries(self, prefix: str) -> list[str]:
        entries = os.listdir(self._folder)  # noqa: PTH208 - pathlib makes an object of each
        return [entry for entry in entries if entry.startswith(prefix)]

    def _is_locked(self, entry: str) -> bool:
        """Return whether a living process has locked a file."""
        file = os.open(self._folder / entry, os.O_RDWR)
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(file)

    def _text_of(self, entry: str) -> str:
        """Return what a living process wrote; empty if it is dead."""
        if not self._is_locked(entry):
            return ""
        return (self._folder / entry).read_bytes()[:_TEXT_BYTES].decode("ascii", "replace").strip()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(
        before=_changing.acquire,
        after_in_parent=_changing.release,
        after_in_child=_changing.release,
    )
