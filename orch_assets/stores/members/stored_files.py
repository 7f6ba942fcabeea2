"""Files that belong together, such as those of an export: published and read as one artifact."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from orch_assets.errors import ArtifactNameError, StoreError
from orch_assets.json_values import to_json
from orch_assets.marked_names import named
from orch_assets.stores.artifacts import ArtifactKind, Published, SetIndex
from orch_assets.stores.catalog import ArtifactHistory
from orch_assets.stores.formats.plain_state import State, plain_state
from orch_assets.stores.manifest import Content
from orch_assets.stores.members.readable_files import MemberPublication
from orch_assets.stores.names import holds_control
from orch_assets.stores.spooling import HashingFile, Spooled, writes
from orch_assets.stores.stored_versions import DescribedVersion


class StoredFiles(ArtifactHistory):
    """Several files by the name of their artifact, to be published and read."""

    def publish_files(
        self,
        files: Mapping[str, Path],
        name: str,
        format: str,  # noqa: A002, as for tables
        *,
        replaces: str | None = None,
        state: State | None = None,
        rows: int | None = None,
    ) -> Published:
        """Publish files as one artifact: a reader never sees files of different publications.

        They are stored, committed and read as the tables of a set are; see :meth:`publish_set`.
        The current object is ``<name>.files``. Their bytes stay as they are.

        Args:
            files: The files by file name, such as ``AE.xpt``.
            name: Name of the artifact.
            format: What the files are, such as ``xpt``.
            replaces: Publish them only if this version is current. The manifest doesn't say that
                they were made from it: files of it that ``open_file`` read are an input.
            state: See :meth:`publish`.
            rows: Number of rows of all tables in the files, if they hold tables.

        Raises:
            ArtifactNameError: The name of the artifact, or that of a file, can't be stored.
            ArtifactNotFoundError: As for :meth:`publish_set`.
            ArtifactReplacedError: ``replaces`` is no longer current; nothing changed.
            StoreError: A file can't be read.
            StudyCancelledError: The running study may no longer publish; nothing changed.
            StoreUnavailableError: The store can't be written.
        """
        keys = self._keys(name, ArtifactKind.FILES)
        for position, file in enumerate(files):
            _check_file_name(file, name, position)
        members = {}
        for file, path in files.items():
            with _opened(path, file) as source:
                stored = self._publisher.store(_copies(source), keys.member)
            members[file] = Content(stored.sha256, stored.size)
        index = to_json(SetIndex(format, members).to_json())
        stored = self._publisher.store(writes(index), keys.version)
        content = content_of_index(stored, members, rows)
        return self._published(
            keys, stored.size, content, members, replaces, plain_state(state, name)
        )

    def files(
        self, name: str, version: str | None = None, *, as_of: datetime | str | None = None
    ) -> Mapping[str, Content]:
        """Return the content of each file by file name; raises as :meth:`download`."""
        keys = self._keys(name, ArtifactKind.FILES)
        with self._input(keys, version, as_of) as (file, _):
            return SetIndex.read(file).members

    @contextlib.contextmanager
    def open_file(
        self,
        name: str,
        file: str,
        version: str | None = None,
        *,
        as_of: datetime | str | None = None,
    ) -> Iterator[BinaryIO]:
        """Open one of several files after verifying it; raises as :meth:`download`.

        Args:
            name: Name of the artifact.
            file: Name of the file.
            version: See :meth:`download`.
            as_of: See :meth:`download`.
        """
        keys = self._keys(name, ArtifactKind.FILES)
        with self._input(keys, version, as_of) as (index, _):
            content = SetIndex.read(index).member(file, name, "file")
        with self._publisher.open_member(keys, content.sha256) as opened:
            yield opened

    def previous_files(self, name: str, version: str | None = None) -> DescribedVersion | None:
        """Return the description of the files that the next ones are made after.

        Arguments, result and errors are those of :meth:`previous`. :meth:`files` says which files
        they are.
        """
        keys = self._keys(name, ArtifactKind.FILES)
        manifest = self._publisher.last_publication(keys, version)
        uri = self._backend.uri(keys.current)
        if manifest is None:
            return None
        return DescribedVersion(uri, manifest, self._mending(keys, manifest))

    def publication_of(
        self, name: str, member: str, *, kind: ArtifactKind = ArtifactKind.SET
    ) -> MemberPublication | None:
        """Return the publication that the copy of a member belongs to.

        If the copies of two members belong to different publications, the set is being replaced,
        or its publisher was killed. In the second case, :meth:`verify` says so, too.

        Args:
            name: Name of the set, or of the files.
            member: Name of the table, or file name.
            kind: ``ArtifactKind.SET`` or ``ArtifactKind.FILES``.

        Returns:
            None if there is no copy, or if another program wrote it.
        """
        keys = self._keys(name, kind)
        return self._publisher.readable.publication(keys, member, self._format.value)


def content_of_index(stored: Spooled, members: Mapping[str, Content], rows: int | None) -> Content:
    """Return the description of a version whose own object is an index of its members."""
    size = stored.size + sum(each.bytes for each in members.values())
    return Content(stored.sha256, size, rows=rows)


def _check_file_name(file: object, artifact: str, position: int) -> None:
    if not isinstance(file, str) or not file or "/" in file or holds_control(file):
        raise ArtifactNameError(
            f"File {position} of {named(artifact)} can't be stored: its name must be text without "
            "slashes and control characters.",
            artifact=artifact,
        )


def _copies(source: BinaryIO) -> Callable[[HashingFile], object]:
    return lambda target: shutil.copyfileobj(source, target, 1 << 20)


@contextlib.contextmanager
def _opened(path: Path, file: str) -> Iterator[BinaryIO]:
    try:
        source = path.open("rb")
    except OSError as error:
        raise StoreError(
            f"File {named(file)} can't be read: {error.strerror}. Nothing was published."
        ) from None
    with source:
        yield source
