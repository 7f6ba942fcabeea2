"""Temporary files of the stores in buckets, and what may be wrong with their folder."""

import contextlib
import errno
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO, Final

from orch_assets.errors import StoreUnavailableError

# In an error's own words, where a file turns out to have no room while it is written.
NO_ROOM: Final = (
    "The folder for temporary files has no room for it: free some, or name another (TMPDIR)."
)

_PREFIX: Final = "orch-assets-spool-"
_OURS: Final = re.compile(f"{_PREFIX}[a-z0-9_]{{8}}")  # as tempfile names them
# What a killed process left behind is removed once nobody can be using it any more.
_OLD_SECONDS: Final = 7 * 24 * 3600.0


@contextlib.contextmanager
def temporary_path() -> Iterator[Path]:
    """Lend a path in a folder of its own, which is removed with all that is in it."""
    with _reporting():
        folder = tempfile.TemporaryDirectory(prefix=_PREFIX)
        _sweep(tempfile.gettempdir())
    with folder as name:
        yield Path(name, "spooled")


@contextlib.contextmanager
def temporary_file() -> Iterator[BinaryIO]:
    """Lend a file that no folder shows and that is gone with this process at the latest."""
    with _reporting():
        file = tempfile.TemporaryFile(prefix=_PREFIX)  # noqa: SIM115 - closed below
    with file:
        yield file


def has_no_room(error: BaseException) -> bool:
    """Whether an error says that a disk, a quota or a limit is full."""
    full = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    return isinstance(error, OSError) and error.errno in full


@cache  # once a process
def _sweep(parent: str) -> None:
    """Remove old folders of ours: a table's rows must not lie about for ever."""
    for folder in Path(parent).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another process sweeps too
            if _OURS.fullmatch(folder.name) and _is_old(folder.lstat()):
                shutil.rmtree(folder)


def _is_old(found: os.stat_result) -> bool:
    """Whether it is a folder, no link to one, that this user made long ago."""
    is_folder_of_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return is_folder_of_ours and found.st_mtime < time.time() - _OLD_SECONDS


@contextlib.contextmanager
def _reporting() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailableError(
            f"No temporary file can be made: {error.strerror}. Check the permissions and space of "
            "the folder for temporary files, or name another (TMPDIR)."
        ) from error
