"""A folder with one export, which stays whole until the next one has been written and verified.

Then the files change one by one. ``export.json`` is removed first and written last, so that a
reader can tell: a folder without it holds no whole export. Files that no export wrote are never
changed.
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orch_assets.errors import ExportError
from orch_assets.exports.export_format import ColumnNames
from orch_assets.exports.table_export import EXPORT_JSON, WRITING, TableExport, WrittenExport

# Lists the files of both exports while one replaces the other, so that the export after a killed
# one knows which files are its own.
_REPLACING: Final = ".orch-assets-replacing.json"
_PRIVATE_FOLDER: Final = 0o700
_PRIVATE_FILE: Final = 0o600


@dataclass(frozen=True)
class ExportFolder:
    """A folder below the one that a user named.

    Attributes:
        root: The folder that the user named; may be a symbolic link.
        below: Folders below it. None of them may be a symbolic link, which could lead elsewhere.
        private: Whether only this user may read the folders below and their files.
    """

    root: Path
    below: Sequence[str]
    private: bool = False

    @property
    def path(self) -> Path:
        """The folder."""
        return self.root.joinpath(*self.below)

    def replace_with(self, export: TableExport) -> WrittenExport:
        """Write and verify an export, then put it in the place of the earlier one.

        Waits for another process that exports into the same folder.

        Raises:
            ExportError: It can't be written, or a file is in the way. The earlier export is as it
                was, unless the error came while files were replaced: then there is no
                ``export.json``, and the next export completes the folder.
        """
        try:
            self._make_folders()
            with _alone_in(self.path) as is_alone:
                if is_alone:
                    self._remove_leftovers()
                earlier = self._earlier()
                with export.written(_names_in(earlier), self.path) as written:
                    self._publish(written, _files_in(earlier))
                return written
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else type(error).__name__
            raise ExportError(
                f"{self.path} can't be written: {reason}. If it has no export.json now, its files "
                "are of two exports: export again."
            ) from None

    def _make_folders(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        folder = self.root
        for part in self.below:
            folder = folder / part
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=_PRIVATE_FOLDER if self.private else 0o777)
            if not stat.S_ISDIR(folder.lstat().st_mode):
                raise ExportError(
                    f"{folder} is not a folder, or is a symbolic link, which could lead anywhere. "
                    "Remove it, or export to another folder. Nothing was changed."
                )
            if self.private:
                folder.chmod(_PRIVATE_FOLDER)

    def _remove_leftovers(self) -> None:
        """Remove what killed exports left behind; nobody else is writing here."""
        for each in self.path.glob(f"{WRITING}*"):
            if stat.S_ISDIR(each.lstat().st_mode):
                shutil.rmtree(each)

    def _earlier(self) -> Mapping[str, Any]:
        """Return what the earlier export says, and the files of one that was killed."""
        earlier = self._read(EXPORT_JSON) or {}
        replacing = self._read(_REPLACING) or {}
        files = {**replacing.get("files", {}), **earlier.get("files", {})}
        names = earlier.get("names", replacing.get("names", {}))
        return {"files": files, "names": names}

    def _read(self, name: str) -> Mapping[str, Any] | None:
        """Return what a file of this module says; None if there is none.

        Raises:
            ExportError: It is something else.
        """
        path = self.path / name
        if not os.path.lexists(path):
            return None
        found: Any = None
        if stat.S_ISREG(path.lstat().st_mode):
            with contextlib.suppress(ValueError):
                found = json.loads(path.read_bytes())
        if not _is_ours(found):
            raise ExportError(
                f"{path} is not what an export wrote. Remove it, or export to another folder. "
                "Nothing was changed."
            )
        return dict(found)

    def _publish(self, written: WrittenExport, earlier: set[str]) -> None:
        ours = earlier | {EXPORT_JSON}
        self._refuse_others(written, ours)
        for path in written.files.values():
            if self.private:
                path.chmod(_PRIVATE_FILE)
            _sync(path)
        (new_json,) = (path for name, path in written.files.items() if name == EXPORT_JSON)
        self._note_replacing(written, earlier, new_json.parent)
        (self.path / EXPORT_JSON).unlink(missing_ok=True)
        _sync(self.path)
        for name, path in written.files.items():
            if name != EXPORT_JSON:
                path.replace(self.path / name)
        for name in earlier - written.files.keys():
            (self.path / name).unlink(missing_ok=True)
        _sync(self.path)
        new_json.replace(self.path / EXPORT_JSON)
        (self.path / _REPLACING).unlink(missing_ok=True)
        _sync(self.path)

    def _refuse_others(self, written: WrittenExport, ours: set[str]) -> None:
        for name in {*written.files, *ours}:
            path = self.path / name
            if not os.path.lexists(path):
                continue
            if name not in ours or not stat.S_ISREG(path.lstat().st_mode):
                raise ExportError(
                    f"{path} is in the way: no export wrote it. Move it, or export to another "
                    "folder. Nothing was changed."
                )

    def _note_replacing(self, written: WrittenExport, earlier: set[str], folder: Path) -> None:
        files = dict.fromkeys(sorted({*earlier, *written.files} - {EXPORT_JSON}))
        path = folder / _REPLACING
        path.write_text(json.dumps({"files": files, "names": written.state["names"]}))
        if self.private:
            path.chmod(_PRIVATE_FILE)
        _sync(path)
        path.replace(self.path / _REPLACING)
        _sync(self.path)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[bool]:
    """Wait for others that export into a folder; yield False where there are no locks."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}:
                raise
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _is_ours(found: Any) -> bool:
    """Return whether a JSON value has the files and the names of an export."""
    if not isinstance(found, dict):
        return False
    files, names = found.get("files"), found.get("names")
    if not isinstance(files, dict) or not isinstance(names, dict):
        return False
    return all(isinstance(each, dict) for each in names.values())


def _names_in(earlier: Mapping[str, Any]) -> ColumnNames:
    names: ColumnNames = earlier["names"]
    return names


def _files_in(earlier: Mapping[str, Any]) -> set[str]:
    """Return the names of files of earlier exports; a path to elsewhere is none."""
    return {name for name in earlier["files"] if name == Path(name).name and name[:1] != "."}


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
