"""The backend and the store for a local folder: no partial files, even if the process is killed.

Files are first written where only their owner can read them. When a file gets its final name, it
also gets the mode of its store: the one of the umask, or in a private store 0600, in folders of
mode 0700. Symbolic links below the root are refused: they could lead out of the store, or to
folders of other modes.
"""

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from orch_assets.errors import ArtifactNotFoundError, StoreAddressError, StoreUnavailableError
from orch_assets.marked_names import named
from orch_assets.stores.artifacts import StorageFormat
from orch_assets.stores.backends.base import (
    Backend,
    Copied,
    Listed,
    Stored,
    TemporaryPart,
    nothing_stored,
)
from orch_assets.stores.backends.local_files import (
    PRIVATE_FOLDER,
    alone_in,
    close_to_others,
    is_old_spool_file,
    linked,
    mode_of_new_files,
    note_in,
    noted,
    raise_unless_gone,
    state,
    state_of,
    sync,
)
from orch_assets.stores.names import holds_control
from orch_assets.stores.spooling import Spooled, create_private, sha256_of
from orch_assets.stores.store import PipelineStore

# Files are written here first. It is in the root, and so on the same file system.
_SPOOL_FOLDER = ".orch-spool"


_PRIVATE_FILE = 0o600


class LocalDisk(Backend):
    """A folder whose files are the objects.

    Args:
        root: The folder, created by the first write. It may be a symbolic link; nothing below it
            may be one.
        private: Whether only the owner may read the folder, whatever the umask. If other users
            can enter an existing root, the first write closes it to them.

    Raises:
        StoreAddressError: The path holds a control character, which neither a path nor a log line
            can hold.
    """

    def __init__(self, root: str | os.PathLike[str], *, private: bool = False) -> None:
        if holds_control(str(root)):
            raise StoreAddressError("The path of a store's folder holds a control character.")
        self._root = Path(root).absolute()
        self._private = private
        self._prepared = False
        self._file_mode = _PRIVATE_FILE

    def uri(self, key: str) -> str:
        """Return the file's ``file:`` URI."""
        return (self._root / key).as_uri()

    @contextlib.contextmanager
    def spool(self) -> Iterator[Path]:
        """Yield a path in the spool folder; every write leaves that folder empty."""
        with self._reporting():
            folder = self._path(_SPOOL_FOLDER)
            self._make_folder(folder)
            self._prepare(folder)
        path = folder / uuid.uuid4().hex
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def put(self, spooled: Spooled, key: str) -> None:
        """Sync the file to the disk, then move it to its key."""
        with self._reporting():
            sync(spooled.path)
            self._move(spooled.path, key)

    def put_new(self, spooled: Spooled, key: str) -> bool:
        """Sync the file to the disk, then link it to its key."""
        with self._reporting():
            sync(spooled.path)
            return self._link(spooled.path, key)

    @contextlib.contextmanager
    def copying(
        self, source: Copied, target: str, *, over: Stored | None = None
    ) -> Iterator[Callable[[], bool]]:
        """Copy into the spool folder; the commit is one rename.

        It is a copy, not a link: editing the current file must not change its version.
        """
        with self.spool() as path:
            with self._reporting():
                create_private(path).close()
                shutil.copyfile(self._path(source.key), path)
                note_in(path, source.sha256, source.note)
                sync(path)
            yield lambda: self._commit(path, target, over)

    def stored(self, key: str, verify: str | None = None) -> Stored | None:
        """Read the file's attribute; hash the file if it has none, or should be verified."""
        try:
            with self.open(key) as file:
                status = os.fstat(file.fileno())
                sha256, note = noted(file.fileno(), status)
                if sha256 in {None, verify}:
                    found = sha256_of(file)
                    sha256, note = found, note if found == sha256 else ""
                return Stored(sha256, status.st_size, note, state(status))
        except ArtifactNotFoundError:
            return None

    @contextlib.contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """Open the file; the reader isn't affected if it is replaced."""
        with self._reporting():
            try:
                file = self._path(key).open("rb")
            except (FileNotFoundError, NotADirectoryError):
                raise nothing_stored(self.uri(key), key) from None
        with file:
            yield file

    def holds(self, key: str, sha256: str, size: int) -> bool:
        """Compare the file's size, then its hash."""
        with self._reporting():
            path = self._path(key)
            if not path.is_file() or path.stat().st_size != size:
                return False
            with path.open("rb") as file:
                return sha256_of(file) == sha256

    def exists(self, key: str) -> bool:
        """Return whether the file exists."""
        with self._reporting():
            return self._path(key).is_file()

    def list(self, folder: str, *, hidden: bool = False) -> Iterator[str]:
        """Walk the folder, skipping links, and hidden files and folders unless requested."""
        with self._reporting():
            for parent, folders, files in os.walk(self._path(folder), onerror=raise_unless_gone):
                folders[:] = [name for name in folders if hidden or not name.startswith(".")]
                for name in files:
                    if (hidden or not name.startswith(".")) and not Path(parent, name).is_symlink():
                        yield Path(parent, name).relative_to(self._root).as_posix()

    def listing(self, folder: str) -> Iterator[Listed]:
        """Walk the folder; a file that is removed meanwhile is left out."""
        for key in self.list(folder, hidden=True):
            with self._reporting(), contextlib.suppress(FileNotFoundError):
                status = (self._root / key).stat()
                modified = datetime.fromtimestamp(status.st_mtime, tz=UTC)
                yield Listed(key, status.st_size, modified)

    def temporary_parts(self, folder: str, before: datetime) -> Iterator[TemporaryPart]:  # noqa: ARG002
        """Yield the files in the spool folder, which all prefixes have in common."""
        spool = self._path(_SPOOL_FOLDER)
        with self._reporting():
            for path in spool.iterdir() if spool.is_dir() else ():
                with contextlib.suppress(FileNotFoundError):
                    if is_old_spool_file(path, before.timestamp()):
                        yield TemporaryPart(
                            path.lstat().st_size, partial(path.unlink, missing_ok=True)
                        )

    def delete(self, key: str) -> None:
        """Remove the file; its folder stays, since another writer may be about to use it."""
        with self._reporting(), contextlib.suppress(FileNotFoundError):
            path = self._path(key)
            path.unlink()
            sync(path.parent)

    def remove_empty_folders(self, folder: str) -> None:
        """Remove the folders from the innermost on."""
        with self._reporting():
            for parent, _, _ in os.walk(self._path(folder), topdown=False):
                with contextlib.suppress(OSError):  # something is in it
                    Path(parent).rmdir()

    def delete_all(self, keys: Sequence[str]) -> None:
        """Remove the files, then sync each of their folders once."""
        with self._reporting():
            folders = set()
            for path in map(self._path, keys):
                path.unlink(missing_ok=True)
                folders.add(path.parent)
            for folder in folders:
                with contextlib.suppress(FileNotFoundError):
                    sync(folder)

    def _path(self, key: str) -> Path:
        """Return the path of a key.

        Raises:
            StoreUnavailableError: The path, or a folder above it, is a symbolic link.
        """
        path = str(self._root)
        for part in filter(None, key.split("/")):
            path = os.path.join(path, part)  # noqa: PTH118 - a fifth of the time of Path
            if os.path.islink(path):  # noqa: PTH114 - likewise
                raise StoreUnavailableError(
                    f"The store in {self._root} can't be used: "
                    f"{named(path, 'a part of it', shown=path)} is a symbolic link, which may "
                    "lead out of the store. Replace the link by what it points to."
                )
        return Path(path)

    def _commit(self, path: Path, key: str, over: Stored | None) -> bool:
        with self._reporting():
            return self._move(path, key, over)

    def _move(self, path: Path, key: str, over: Stored | None = None) -> bool:
        target = self._path(key)
        self._make_folder(target.parent)
        path.chmod(self._file_mode)
        with alone_in(target.parent):
            if over and state_of(target) != over.state:
                return False
            path.replace(target)
        sync(target.parent)
        return True

    def _link(self, path: Path, key: str) -> bool:
        """Give a file its final name unless there is such a file; return whether it has it."""
        target = self._path(key)
        self._make_folder(target.parent)
        path.chmod(self._file_mode)
        if not linked(path, target):
            return False
        sync(target.parent)
        return True

    def _make_folder(self, folder: Path) -> None:
        """Create a folder and its parents, each durably."""
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for each in reversed(missing):
            is_in_store = each == self._root or self._root in each.parents
            if is_in_store and (self._private or each.name == _SPOOL_FOLDER):
                each.mkdir(PRIVATE_FOLDER, exist_ok=True)
                each.chmod(PRIVATE_FOLDER)  # the umask may restrict even the owner
            else:
                each.mkdir(exist_ok=True)
            sync(each.parent)

    def _prepare(self, folder: Path) -> None:
        """Before the first write: close private folders, learn the umask, remove old files."""
        if self._prepared:
            return
        self._prepared = True
        for each in (folder, self._root) if self._private else (folder,):
            close_to_others(each)
        if not self._private:
            self._file_mode = mode_of_new_files(folder)
        for path in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if is_old_spool_file(path):
                    path.unlink()

    @contextlib.contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            file = str(error.filename)
            raise StoreUnavailableError(
                f"The store in {self._root} can't be used: {error.strerror} "
                f"({named(file, 'a file in it', shown=file)}). Check that the folder can be "
                "read and written."
            ) from error


class LocalPipelineStore(PipelineStore):
    """A store in a local folder, with the same guarantees as a store in a bucket.

    Nothing is created before the first write.

    Args:
        root: The folder. A relative path is resolved against the working folder now.
        prefix: Folder in the root, for all artifacts of the store.
        format: Format of tables.
        escape_formulas: See :class:`~orch_assets.stores.formats.csv_text.CsvFormat`.
        private: Whether only the folder's owner may read it, whatever the umask: folders have
            mode 0700, files 0600, and an existing root is closed to other users.

    Example:
        >>> import pandas as pd, tempfile
        >>> store = LocalPipelineStore(tempfile.mkdtemp(), prefix="prod")
        >>> uri = store.upload(pd.DataFrame({"site": ["001"]}), "features/sites")
        >>> store.download("features/sites")
          site
        0  001
        >>> store.list_artifacts("features/")
        ['features/sites']
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        prefix: str = "",
        format: StorageFormat = StorageFormat.PARQUET,  # noqa: A002, the seed's name
        *,
        escape_formulas: bool = False,
        private: bool = False,
    ) -> None:
        super().__init__(
            LocalDisk(root, private=private), prefix, format, escape_formulas=escape_formulas
        )
