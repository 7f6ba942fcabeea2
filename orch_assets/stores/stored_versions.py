"""Versions that a next version is made from: described without reading data, and read once.

Whoever makes a version from an earlier one first asks what that one is. Its manifest says so. The
data are fetched and verified only if they are needed, and then once for all uses.
"""

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from orch_assets.lazy import cached_property
from orch_assets.stores.artifacts import SetIndex, StorageFormat
from orch_assets.stores.formats.table_files import TableFiles
from orch_assets.stores.manifest import Content, Manifest, Publication
from orch_assets.stores.spooling import FileView

if TYPE_CHECKING:
    import pyarrow as pa


class DescribedVersion:
    """What the manifest of a version says.

    Attributes:
        uri: URI of the artifact's current object.
        manifest: The manifest.
        content: Description of the version's bytes.
        publication: The last publication of the version.
    """

    def __init__(
        self, uri: str, manifest: Manifest, mend: Callable[[], object] = lambda: None
    ) -> None:
        self.uri = uri
        self._mend = mend
        self.manifest = manifest
        self.content: Content = manifest.content
        self.publication: Publication = manifest.publications[-1]

    @property
    def version(self) -> str:
        """SHA-256 of the version."""
        return self.content.sha256

    @property
    def state(self) -> Mapping[str, Any]:
        """State that was stored with the last publication; empty if there was none."""
        return self.publication.state

    @property
    def inputs(self) -> Mapping[str, str]:
        """What it was made from, by the last publication: versions by artifact URI."""
        return self.publication.inputs

    def mend_copies(self) -> None:
        """Complete the copies of the members of what is current, if a publisher was killed.

        Call it where the version is used again without being published. It does nothing for what
        has no members.
        """
        self._mend()

    @property
    def num_rows(self) -> int:
        """Number of rows; of a set, those of all its tables; 0 for a JSON value."""
        return self.content.rows or 0

    @property
    def bytes(self) -> int:
        """Stored size; of a set, including all its tables."""
        return self.content.bytes


@dataclass(frozen=True)
class StoredMember:
    """A table of a stored set, which ``publish_set`` takes into the set's next version unread.

    Attributes:
        uri: URI of the set's current object.
        set_version: SHA-256 of the version of the set.
        content: Description of the table's bytes.
        format: Format of the table.
    """

    uri: str
    set_version: str
    content: Content
    format: StorageFormat

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return self.content.rows or 0


class SetVersion(DescribedVersion, Mapping[str, StoredMember]):
    """A version of a set: its tables by name, none of which is read.

    The list of the tables is fetched and verified when it is first needed. That raises what reading
    a :class:`TableVersion` raises.

    Args:
        uri: URI of the set's current object.
        manifest: Manifest of the version.
        open_index: Opens the list of the tables after verifying it.
        open_table: Returns the table that the content of a manifest describes, in a format.
        mend: See :meth:`mend_copies`.
    """

    def __init__(
        self,
        uri: str,
        manifest: Manifest,
        open_index: Callable[[], AbstractContextManager[BinaryIO]],
        open_table: "Callable[[Manifest, StorageFormat], TableVersion]",
        mend: Callable[[], object],
    ) -> None:
        super().__init__(uri, manifest, mend)
        self._open_index = open_index
        self._open_table = open_table

    @cached_property
    def _members(self) -> Mapping[str, StoredMember]:
        with self._open_index() as file:
            index = SetIndex.read(file)
        format_ = StorageFormat(index.format)
        return {
            name: StoredMember(self.uri, self.version, content, format_)
            for name, content in index.members.items()
        }

    def table(self, name: str) -> "TableVersion":
        """Return a table to be read."""
        member = self._members[name]
        return self._open_table(replace(self.manifest, content=member.content), member.format)

    def __getitem__(self, name: str) -> StoredMember:
        """Return a table."""
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the tables, in the order in which they were published."""
        return iter(self._members)

    def __len__(self) -> int:
        """Return the number of tables."""
        return len(self._members)


class TableVersion(DescribedVersion):
    """A version of a table, whose data are fetched and verified when they are first needed.

    The fetched file isn't held in memory. It exists until :meth:`batches` has reached its end, or
    until this object is dropped. What is read is not noted as an input of what is published: the
    manifest of the next version says whose rows it may have if it is published with ``replaces``.
    Read what another artifact is made from with ``store.download``.

    Reading raises :class:`~orch_assets.errors.ArtifactCorruptError` if the bytes are not those that
    were published, and :class:`~orch_assets.errors.ArtifactNotFoundError` if the version was
    removed meanwhile.

    Args:
        uri: URI of the artifact's current object.
        manifest: Manifest of the version.
        files: Reads tables.
        open_verified: Opens the version's file after verifying it.
    """

    def __init__(
        self,
        uri: str,
        manifest: Manifest,
        files: TableFiles,
        open_verified: Callable[[], AbstractContextManager[BinaryIO]],
    ) -> None:
        super().__init__(uri, manifest)
        self._name = manifest.artifact
        self._files = files
        self._open_verified = open_verified
        self._fetching = threading.Lock()
        self._fetched: _FetchedFile | None = None
        self._unread: Iterator[pa.RecordBatch] | None = None

    @cached_property
    def schema(self) -> "pa.Schema":
        """Schema of the table, as ``download_table`` returns it; fetches the file."""
        schema, self._unread = self._stream(self._file())
        return schema

    def columns(self, names: Sequence[str]) -> "pa.Table":
        """Return some columns of all rows, in the given order; Parquet reads only these.

        Raises:
            KeyError: The table has no such column.
        """
        from orch_assets.stores.tables import without_notes

        for name in names:
            self.schema.field(name)
        view = self._file().view()
        return without_notes(self._files.read(view, self.content, self._name, names))

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """Yield all rows; one row group is in memory at once."""
        file, metadata = self._file(), self.schema.metadata
        with self._fetching:  # what was opened for the schema is read once
            batches, self._unread = self._unread, None
        for batch in batches or self._stream(file)[1]:
            yield batch.replace_schema_metadata(metadata)
        with self._fetching:
            if self._fetched is file:
                self._fetched = None

    def _stream(self, file: "_FetchedFile") -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
        from orch_assets.stores.tables import without_notes

        schema, batches = self._files.stream(file.view(), self.content, self._name)
        return without_notes(schema.empty_table()).schema, batches

    def _file(self) -> "_FetchedFile":
        with self._fetching:
            if self._fetched is None:
                self._fetched = _FetchedFile(self._open_verified())
            return self._fetched


class _FetchedFile:
    """A verified file, which is closed when neither its owner nor a view uses it any more."""

    def __init__(self, opening: AbstractContextManager[BinaryIO]) -> None:
        with contextlib.ExitStack() as stack:
            self._descriptor = stack.enter_context(opening).fileno()
            weakref.finalize(self, stack.pop_all().close)

    def view(self) -> BinaryIO:
        """Return the file with a position of its own."""
        return cast("BinaryIO", FileView(self._descriptor, owner=self))
