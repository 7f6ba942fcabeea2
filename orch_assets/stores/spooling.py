"""Writing a file for a store: hashed on its way, without a word of data in its errors."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from orch_assets.errors import StoreUnavailableError

_CHUNK = 1 << 20
_MODE = 0o600


@dataclass(frozen=True)
class Spooled:
    """A file that is ready to be put: its path, SHA-256 and size in bytes."""

    path: Path
    sha256: str
    size: int


class HashingFile:
    """A binary file for writing that hashes what goes through it; enough of one for pyarrow."""

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
        """Return the number of bytes so far."""
        return self._size

    def flush(self) -> None:
        """Leave it to the file's own buffer."""

    def close(self) -> None:
        """Leave it to whoever opened the file."""

    def spooled(self) -> Spooled:
        """Return what was written."""
        with _reporting(self._path):
            self._file.flush()
        return Spooled(self._path, self._digest.hexdigest(), self._size)


def spool(path: Path, write: Callable[[HashingFile], object]) -> Spooled:
    """Create a file that its owner alone can read, and let ``write`` fill it."""
    with _reporting(path):
        file = create_private(path)
    try:
        hashing = HashingFile(file, path)
        write(hashing)
        return hashing.spooled()
    finally:
        with _reporting(path):  # on a full disk, closing fails too
            file.close()


def create_private(path: Path) -> BinaryIO:
    """Create a file of mode 0600, whatever the umask, for writing."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    os.fchmod(descriptor, _MODE)
    return os.fdopen(descriptor, "wb")


def sha256_of(file: BinaryIO) -> str:
    """Return the SHA-256 of a file from its beginning, and leave it rewound."""
    digest = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


@contextlib.contextmanager
def _reporting(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailableError(
            f"Can't write in {path.parent}: {error.strerror}. Check its permissions and space."
        ) from error
