"""Files of a store on a local disk: durable, never overwritten by mistake, of the right mode."""

import contextlib
import errno
import fcntl
import logging
import os
import re
import stat
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from orch_assets.stores.spooling import create_private

_ATTRIBUTE: Final = "user.orch_assets.publication"
PRIVATE_FOLDER: Final = 0o700
_OTHERS: Final = 0o077
# Files left behind by killed processes are removed once no process can still be writing them.
_SPOOL_SECONDS: Final = 7 * 24 * 3600.0
_SPOOLED: Final = re.compile("[0-9a-f]{32}")
# How a file system says that it has no hard links.
_NO_LINKS: Final = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}

_log = logging.getLogger("orch_assets.stores")


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Wait for other processes and threads that rename a file in a folder.

    On a file system without locks, a conditional commit may overlook one made in the same moment.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def state_of(path: Path) -> tuple[int, ...] | None:
    """Return the state of a file; None if there is none."""
    try:
        return state(path.stat())
    except FileNotFoundError:
        return None


def state(status: os.stat_result) -> tuple[int, ...]:
    """Return what changes when a file is replaced or written."""
    return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)


def note_in(path: Path, sha256: str, note: str) -> None:
    """Keep a hash and a note in an attribute of a file, if the file system has attributes.

    They are valid for the file's time of modification, which is set to a nanosecond that the
    kernel, with its coarser clock, is unlikely to set.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            now = time.time_ns()
            os.utime(path, ns=(now, now))
            valid = path.stat().st_mtime_ns
            os.setxattr(path, _ATTRIBUTE, f"{sha256} {note} {valid}".encode())


def noted(descriptor: int, status: os.stat_result) -> tuple[str | None, str]:
    """Return the hash and the note in a file's attribute; None and no note if none is valid."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, ValueError):
            sha256, note, valid = os.getxattr(descriptor, _ATTRIBUTE).decode().split(" ")
            if int(valid) == status.st_mtime_ns:
                return sha256, note
    return None, ""


def close_to_others(folder: Path) -> None:
    """Deny other users access to a folder; log a warning if only its owner can."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    if not mode & _OTHERS:
        return
    try:
        folder.chmod(PRIVATE_FOLDER)
    except PermissionError:
        _log.warning(
            "Other users of this machine may read %s (mode %o), and this process may not change "
            "that: the folder's owner should set its mode to 700.",
            folder,
            mode,
        )


def mode_of_new_files(folder: Path) -> int:
    """Return the mode of new files, found by creating one: reading the umask means changing it."""
    path = folder / uuid.uuid4().hex
    try:
        path.touch(exist_ok=False)
        return stat.S_IMODE(path.stat().st_mode)
    finally:
        path.unlink(missing_ok=True)


def is_old_spool_file(path: Path, before: float | None = None) -> bool:
    """Return whether a file is one of ours and so old that no process can be writing it.

    Args:
        path: The file.
        before: It is old if it was written before this timestamp; by default, a week ago.
    """
    if not _SPOOLED.fullmatch(path.name):
        return False
    status = path.lstat()
    old = time.time() - _SPOOL_SECONDS if before is None else before
    return stat.S_ISREG(status.st_mode) and status.st_mtime < old


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def raise_unless_gone(error: OSError) -> None:
    """Ignore that a folder disappeared while it was listed."""
    if not isinstance(error, FileNotFoundError):
        raise error


def linked(path: Path, target: Path) -> bool:
    """Give a file another name unless there is such a file; return whether it has it.

    Where there are no hard links, a process that is killed may leave an empty file.
    """
    try:
        os.link(path, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        try:
            create_private(target).close()
        except FileExistsError:
            return False
        path.replace(target)
    return True
