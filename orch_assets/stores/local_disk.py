"""The local disk as a backend: whole files or none, also when the process is killed."""

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from orch_assets.errors import ArtifactNotFoundError, StoreUnavailableError
from orch_assets.stores.spooling import Spooled, sha256_of

# Where files are written before they get their name: in the root, so on its file system.
_SPOOL_FOLDER = ".orch-spool"
# What a killed process left behind is removed once nobody can be writing it any more.
_SPOOL_SECONDS = 7 * 24 * 3600.0


class LocalDisk:
    """A folder whose files are the objects.

    Args:
        root: the folder; made by the first write.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = Path(root).absolute()
        self._swept = False

    def uri(self, key: str) -> str:
        """Return the file's ``file:`` URI."""
        return self._path(key).as_uri()

    @contextlib.contextmanager
    def spool(self) -> Iterator[Path]:
        """Lend a path in the spool folder, which every write leaves empty."""
        folder = self._root / _SPOOL_FOLDER
        with self._reporting():
            _make_folder(folder)
            self._sweep(folder)
        path = folder / uuid.uuid4().hex
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def put(self, spooled: Spooled, key: str) -> None:
        """Sync the file, then move it to its key."""
        with self._reporting():
            _sync(spooled.path)
            self._move(spooled.path, key)

    @contextlib.contextmanager
    def copying(
        self,
        source: str,
        target: str,
        sha256: str,  # noqa: ARG002 - a disk keeps no notes
        size: int,  # noqa: ARG002
    ) -> Iterator[Callable[[], None]]:
        """Copy into the spool folder; the commit is one rename.

        A copy and no link: a file that is edited in place must not change its version.
        """
        with self.spool() as path:
            with self._reporting():
                shutil.copyfile(self._path(source), path)
                _sync(path)
            yield lambda: self._commit(path, target)

    @contextlib.contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """Open the file; a file that replaces it doesn't disturb the reader."""
        with self._reporting():
            try:
                file = self._path(key).open("rb")
            except (FileNotFoundError, NotADirectoryError):
                raise ArtifactNotFoundError(
                    f"Nothing is stored at {self.uri(key)}.", artifact=self.uri(key)
                ) from None
        with file:
            yield file

    def holds(self, key: str, sha256: str, size: int) -> bool:
        """Compare the size, then the hash."""
        path = self._path(key)
        with self._reporting():
            if not path.is_file() or path.stat().st_size != size:
                return False
            with path.open("rb") as file:
                return sha256_of(file) == sha256

    def exists(self, key: str) -> bool:
        """Tell whether the file is there."""
        with self._reporting():
            return self._path(key).is_file()

    def list(self, folder: str, *, hidden: bool = False) -> Iterator[str]:
        """Walk the folder, past everything hidden if so asked."""
        with self._reporting():
            for parent, folders, files in os.walk(self._path(folder), onerror=_raise_unless_gone):
                folders[:] = [name for name in folders if hidden or not name.startswith(".")]
                for name in files:
                    if hidden or not name.startswith("."):
                        yield Path(parent, name).relative_to(self._root).as_posix()

    def delete(self, key: str) -> None:
        """Remove the file; its folder stays, another writer may be about to use it."""
        path = self._path(key)
        with self._reporting(), contextlib.suppress(FileNotFoundError):
            path.unlink()
            _sync(path.parent)

    def _path(self, key: str) -> Path:
        return self._root / key

    def _commit(self, path: Path, key: str) -> None:
        with self._reporting():
            self._move(path, key)

    def _move(self, path: Path, key: str) -> None:
        target = self._path(key)
        _make_folder(target.parent)
        path.replace(target)
        _sync(target.parent)

    def _sweep(self, folder: Path) -> None:
        if self._swept:
            return
        self._swept = True
        for path in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - _SPOOL_SECONDS:
                    path.unlink()

    @contextlib.contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreUnavailableError(
                f"The store in {self._root} can't be used: {error.strerror} "
                f"({error.filename}). Check that the folder can be read and written."
            ) from error


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each durably."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        _sync(each.parent)


def _sync(path: Path) -> None:
    """Bring a file, or a folder's list of names, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
