"""Temporary files of the stores: hashed while written, private, free of data in their errors."""

import contextlib
import errno
import hashlib
import io
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from orch_assets.errors import StoreUnavailableError

# The reason given when the folder for temporary files fills up while a file is written.
NO_ROOM: Final = (
    "The folder for temporary files is full. Free space there, or set TMPDIR to another folder."
)

_CHUNK: Final = 1 << 20
_MODE: Final = 0o600
_PREFIX: Final = "orch-assets-spool-"
_OURS: Final = re.compile(f"{_PREFIX}[a-z0-9_]{{8}}")  # as tempfile names them
# Folders left behind by killed processes are removed once no process can still be using them.
_OLD_SECONDS: Final = 7 * 24 * 3600.0


@dataclass(frozen=True)
class Spooled:
    """A file ready to be stored: its path, SHA-256 and size in bytes."""

    path: Path
    sha256: str
    size: int


class HashingFile:
    """A binary file for writing that hashes what it writes.

    It implements as much of a file as pyarrow needs.
    """

    closed = False

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, data: Any) -> int:
        """Write and hash."""
        view = memoryview(data)
        with _reporting(self._path):
            self._file.write(view)
        self._digest.update(view)
        self._size += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self._size

    def flush(self) -> None:
        """Do nothing: the underlying file has a buffer of its own."""

    def close(self) -> None:
        """Do nothing: whoever opened the underlying file closes it."""

    def spooled(self) -> Spooled:
        """Return the file that was written."""
        with _reporting(self._path):
            self._file.flush()
        return Spooled(self._path, self._digest.hexdigest(), self._size)


class FileView(io.RawIOBase):
    """An open file, to be read from a position of its own.

    Args:
        descriptor: Descriptor of the file.
        owner: What keeps the file open while it exists.
    """

    def __init__(self, descriptor: int, owner: object) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._owner = owner
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as there are bytes; return how many there were."""
        count = os.preadv(self._descriptor, [buffer], self._position)
        self._position += count
        return count

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move the position, and return it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position}
        if whence == io.SEEK_END:
            start[whence] = os.fstat(self._descriptor).st_size
        self._position = max(0, start[whence] + offset)
        return self._position


def spool(path: Path, write: Callable[[HashingFile], object]) -> Spooled:
    """Create a file that only its owner can read, and let ``write`` fill it."""
    with _reporting(path):
        file = create_private(path)
    try:
        hashing = HashingFile(file, path)
        write(hashing)
        return hashing.spooled()
    finally:
        with _reporting(path):  # on a full disk, closing fails too
            file.close()


def writes(data: bytes) -> Callable[[HashingFile], object]:
    """Return a function that writes data into a file."""
    return lambda file: file.write(data)


def create_private(path: Path) -> BinaryIO:
    """Create a file of mode 0600, whatever the umask, and open it for writing."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    os.fchmod(descriptor, _MODE)
    return os.fdopen(descriptor, "wb")


def sha256_of(file: BinaryIO) -> str:
    """Return the SHA-256 of a whole file, and rewind it."""
    digest = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


@contextlib.contextmanager
def temporary_path() -> Iterator[Path]:
    """Yield a path in a new folder, which is removed afterwards with everything in it."""
    with _reporting_temporary():
        folder = tempfile.TemporaryDirectory(prefix=_PREFIX)
        _sweep(tempfile.gettempdir())
    with folder as name:
        yield Path(name, "spooled")


@contextlib.contextmanager
def temporary_file() -> Iterator[BinaryIO]:
    """Yield a file without a name, which disappears with this process at the latest."""
    with _reporting_temporary():
        file = tempfile.TemporaryFile(prefix=_PREFIX)  # noqa: SIM115 - closed below
    with file:
        yield file


def has_no_room(error: BaseException) -> bool:
    """Return whether an error means that a disk is full or a quota or limit is reached."""
    full = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    return isinstance(error, OSError) and error.errno in full


def old_folders(before: float) -> Iterator[tuple[int, Callable[[], object]]]:
    """Yield the folders of this package that were left here before a timestamp.

    Yields:
        The number of bytes in the folder, and the function that removes it.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another process may remove it at the same time
            if _OURS.fullmatch(folder.name) and _is_old(folder.lstat(), before):
                size = sum(each.lstat().st_size for each in folder.rglob("*"))
                yield size, partial(shutil.rmtree, folder, ignore_errors=True)


@cache  # once a process
def _sweep(_parent: str) -> None:
    """Remove old folders of this package: they may hold rows of tables."""
    for _, remove in old_folders(time.time() - _OLD_SECONDS):
        remove()


def _is_old(status: os.stat_result, before: float) -> bool:
    """Return whether this is an old folder of the current user, and not a link to a folder."""
    is_own_folder = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    return is_own_folder and status.st_mtime < before


@contextlib.contextmanager
def _reporting(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailableError(
            f"Can't write in {path.parent}: {error.strerror}. Check its permissions and space."
        ) from error


@contextlib.contextmanager
def _reporting_temporary() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailableError(
            f"Can't create a temporary file: {error.strerror}. Check the permissions and space of "
            "the folder for temporary files, or set TMPDIR to another folder."
        ) from error
