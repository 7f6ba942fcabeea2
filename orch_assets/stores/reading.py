"""Reading tables and sets of tables, verified, now or as of a moment."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, TypeVar

from orch_assets.errors import ArtifactNotFoundError, MarkError, StoreError
from orch_assets.marked_names import named
from orch_assets.stores.artifacts import DOCUMENT_KINDS, ArtifactKind, SetIndex, StorageFormat
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.catalog import ArtifactHistory
from orch_assets.stores.formats.csv_text import plain_csv
from orch_assets.stores.formats.table_files import TableFiles, table_format
from orch_assets.stores.manifest import Content, Manifest, publication_here_and_now
from orch_assets.stores.names import check_location
from orch_assets.stores.object_keys import ArtifactKeys, below, mark_key
from orch_assets.stores.order.marks import Mark, MarkedVersion, check_mark_name
from orch_assets.stores.stored_versions import DescribedVersion, SetVersion, TableVersion
from orch_assets.study import check_study_key

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Moment: TypeAlias = datetime | str
T = TypeVar("T")


class StoredArtifacts(ArtifactHistory):
    """Artifacts by name, to be read.

    Args:
        backend: Holds the bytes.
        prefix: Folder on the backend, for all artifacts of the store.
        format: Format of tables.
        escape_formulas: See :class:`~orch_assets.stores.formats.csv_text.CsvFormat`.
    """

    def __init__(
        self,
        backend: Backend,
        prefix: str,
        format: StorageFormat,  # noqa: A002, the seeds' name
        *,
        escape_formulas: bool = False,
    ) -> None:
        super().__init__(backend, prefix, format)
        self._escapes_formulas = escape_formulas and self._format is StorageFormat.CSV
        self._files = TableFiles(
            self._publisher, table_format(self._format, escape_formulas=escape_formulas)
        )

    @property
    def table_format(self) -> str:
        """How tables are written: ``parquet``, ``csv`` or ``csv with escaped formulas``."""
        return f"{self._format}{' with escaped formulas' if self._escapes_formulas else ''}"

    def download(
        self, name: str, version: str | None = None, *, as_of: Moment | None = None
    ) -> "pd.DataFrame":
        """Return a table as a pandas frame, after verifying it.

        Args:
            name: Name of the artifact.
            version: SHA-256 of one of its :meth:`versions`; by default the current one. A version
                of a CSV table identifies its text; the column types are those with which that text
                was last published.
            as_of: Read the version that was current at this moment instead: an aware ``datetime``,
                or text in ISO 8601 with a time zone. Other text is the name of a mark, whose
                version is read; see :meth:`mark`.

        Raises:
            ArtifactNotFoundError: There is no such artifact or version, or nothing was published
                at that moment, or the version of that moment was removed; or there is no such
                mark, or it doesn't hold the artifact.
            ValueError: Both a version and a moment are given, or the moment has no time zone.
            ArtifactCorruptError: The bytes are not those that were published.
            StoreUnavailableError: The store can't be read.
            StoreError: The table was not published as a frame, and pandas can't represent it.
        """
        return _as_frame(self._read(name, version, as_of), name)

    def download_table(
        self, name: str, version: str | None = None, *, as_of: Moment | None = None
    ) -> "pa.Table":
        """Return a table as an Arrow table, after verifying it; raises as :meth:`download`."""
        from orch_assets.stores.tables import without_notes

        return without_notes(self._read(name, version, as_of))

    def open_reader(
        self,
        name: str,
        version: str | None = None,
        *,
        member: str | None = None,
        as_of: Moment | None = None,
    ) -> "pa.RecordBatchReader":
        """Return a table's record batches; all bytes are verified before the first one.

        Only one row group is held in memory. The fetched file exists until the reader reaches its
        end or is dropped. Raises as :meth:`download`.

        Args:
            name: Name of the artifact.
            version: See :meth:`download`.
            member: Name of a table in the set ``name``, to be read instead of a table ``name``.
            as_of: See :meth:`download`.
        """
        from orch_assets.stores.tables import reader_of

        with contextlib.ExitStack() as stack:
            if member is None:
                keys = self._keys(name, ArtifactKind.TABLE)
                file, manifest = stack.enter_context(self._input(keys, version, as_of))
                files, content = self._files, manifest.content
            else:
                keys = self._keys(name, ArtifactKind.SET)
                files, index = self._index(keys, version, as_of)
                content = index.member(member, name)
                file = stack.enter_context(self._publisher.open_member(keys, content.sha256))
            schema, batches = files.stream(file, content, name)
            return reader_of(batches, schema, stack.pop_all())

    def download_plain_csv(self, name: str, *, infer_types: bool = False) -> "pd.DataFrame":
        """Return a CSV file that no store published; it can't be verified.

        Args:
            name: Name of the file, without ``.csv``.
            infer_types: Whether pandas infers types. By default, every column is text; an empty
                field is null, and ``""`` is empty text.

        Raises:
            ArtifactNotFoundError: There is no such file.
            ArtifactCorruptError: The file is not CSV in UTF-8 with a header.
            StoreUnavailableError: The store can't be read.
        """
        # The name is not encoded: the file was named by whoever put it there.
        key = f"{below(self._prefix, check_location(name, 'file'))}.csv"
        with self._backend.open(key) as file:
            return plain_csv(file, name, infer_types=infer_types)

    def download_set(
        self, name: str, version: str | None = None, *, as_of: Moment | None = None
    ) -> "dict[str, pd.DataFrame]":
        """Return the tables of a set as pandas frames; raises as :meth:`download`."""
        return dict(self._members(name, version, as_of, _as_frame))

    def download_set_tables(
        self, name: str, version: str | None = None, *, as_of: Moment | None = None
    ) -> "dict[str, pa.Table]":
        """Return the tables of a set as Arrow tables; raises as :meth:`download`."""
        from orch_assets.stores.tables import without_notes

        return dict(self._members(name, version, as_of, lambda table, _: without_notes(table)))

    def members(
        self, name: str, version: str | None = None, *, as_of: Moment | None = None
    ) -> Mapping[str, Content]:
        """Return the content of each table of a set, by name; raises as :meth:`download`."""
        return self._index(self._keys(name, ArtifactKind.SET), version, as_of)[1].members

    def kinds(self, name: str) -> list[ArtifactKind]:
        """Return which kinds of artifacts are stored under a name; raises as :meth:`exists`."""
        keys = {kind: self._keys(name, kind) for kind in ArtifactKind}
        extensions = {each.extension for each in keys.values()}
        stored = self._backend.extensions(keys[ArtifactKind.TABLE].path, extensions)
        kinds = [kind for kind, each in keys.items() if each.extension in stored]
        for kind in keys.keys() - {*kinds, *DOCUMENT_KINDS.values()}:
            self._misplaced.refuse_earlier(keys[kind])
        return kinds

    def previous(self, name: str, version: str | None = None) -> TableVersion | None:
        """Return the version of a table that its next version is made from.

        Its data are fetched when they are first needed. They are not noted as an input of what is
        published.

        Args:
            name: Name of the artifact.
            version: SHA-256 of a version; by default the current one.

        Returns:
            None if nothing is stored, or there is no such version.

        Raises:
            ArtifactNameError: See :meth:`exists`.
            ArtifactCorruptError: The manifest can't be read, or no store published what is current.
            StoreUnavailableError: The store can't be read.
        """
        keys = self._keys(name, ArtifactKind.TABLE)
        manifest = self._last_publication(keys, version)
        if manifest is None:
            return None
        open_verified = partial(self._publisher.open_version, keys, manifest.content.sha256)
        uri = self._backend.uri(keys.current)
        return TableVersion(uri, manifest, self._files, open_verified)

    def previous_members(self, name: str, version: str | None = None) -> SetVersion | None:
        """Return the version of a set that its next version is made from.

        Its tables aren't read, and their list only when it is needed. :meth:`publish_set` takes
        tables of it as they are. Arguments, result and errors are those of :meth:`previous`.
        """
        keys = self._keys(name, ArtifactKind.SET)
        manifest = self._last_publication(keys, version)
        if manifest is None:
            return None
        uri = self._backend.uri(keys.current)

        def open_table(described: Manifest, format_: StorageFormat) -> TableVersion:
            files = TableFiles(self._publisher, table_format(format_))
            opened = partial(self._publisher.open_member, keys, described.content.sha256)
            return TableVersion(uri, described, files, opened)

        open_index = partial(self._publisher.open_version, keys, manifest.content.sha256)
        return SetVersion(uri, manifest, open_index, open_table, self._mending(keys, manifest))

    def previous_document(
        self, name: str, kind: ArtifactKind, version: str | None = None
    ) -> DescribedVersion | None:
        """Return the description of a document of a kind; see :meth:`previous`."""
        keys = self._keys(name, kind)
        manifest = self._last_publication(keys, version)
        uri = self._backend.uri(keys.current)
        return None if manifest is None else DescribedVersion(uri, manifest)

    def mark(
        self, name: str, versions: Mapping[str, str], *, study: str, run: str | None = None
    ) -> Mark:
        """Give a name to versions of a study's artifacts, for ``as_of``.

        :meth:`retain` keeps marked versions and what they were made from. A mark never moves.
        Setting the same mark again changes nothing.

        Args:
            name: Name of the mark, by the rules of study keys.
            versions: Versions (SHA-256) by artifact name; what stands for a redacted one is marked.
            study: Key of the study.
            run: ID of the run that made them.

        Raises:
            MarkError: The name is not valid, or the study has another mark of that name.
            ArtifactNotFoundError: A version is not stored.
            StoreUnavailableError: The store can't be read or written.
        """
        check_mark_name(name)
        marked = self._all_marked(versions)
        if not marked:
            raise MarkError(f"The mark {named(name)} of study {study} would hold nothing.")
        by = publication_here_and_now()
        mark, is_new = self._marks.put(
            Mark(name, check_study_key(study), run, by.published_at, by.user, by.host, marked)
        )
        try:
            # A version may have been removed, or redacted, before the mark was there.
            while (marked := self._all_marked(versions)) != mark.versions:
                mark = replace(mark, versions=marked)
                self._marks.overwrite(mark_key(self._prefix, name, study), mark)
        except ArtifactNotFoundError:
            if is_new:
                self._marks.remove(name, study)
            raise
        return mark

    def marks(self) -> list[Mark]:
        """Return the marks of this store, sorted by name and study."""
        return self._marks.own()

    def remove_mark(self, name: str, *, study: str) -> None:
        """Remove the mark of a study; the versions stay until :meth:`retain` removes them.

        Raises:
            ArtifactNotFoundError: The study has no such mark.
            StoreUnavailableError: The store can't be read or written.
        """
        self._marks.remove(name, study)

    def _all_marked(self, versions: Mapping[str, str]) -> tuple[MarkedVersion, ...]:
        return tuple(self._marked(*each) for each in sorted(versions.items()))

    def _marked(self, artifact: str, version: str) -> MarkedVersion:
        for kind in ArtifactKind:
            keys = self._keys(artifact, kind)
            entries = self._publisher.entries(keys, version)
            redacted = None if entries else self._publisher.redacted(keys, version)
            stored = redacted.sha256 if redacted else version
            if (entries or redacted) and self._backend.exists(keys.version(stored)):
                return MarkedVersion(artifact, keys.kind, keys.extension, stored)
        raise ArtifactNotFoundError(
            f"Version {version} of {named(artifact)} is not stored here, so it can't be marked.",
            artifact=artifact,
        )

    def _last_publication(self, keys: ArtifactKeys, version: str | None) -> Manifest | None:
        manifest = self._publisher.last_publication(keys, version)
        if manifest is None:
            self._misplaced.refuse_earlier(keys)
        return manifest

    def _read(self, name: str, version: str | None, as_of: Moment | None) -> "pa.Table":
        keys = self._keys(name, ArtifactKind.TABLE)
        with self._input(keys, version, as_of) as (file, manifest):
            return self._files.read(file, manifest.content, name)

    def _members(
        self,
        name: str,
        version: str | None,
        as_of: Moment | None,
        convert: "Callable[[pa.Table, str], T]",
    ) -> Iterator[tuple[str, T]]:
        keys = self._keys(name, ArtifactKind.SET)
        files, index = self._index(keys, version, as_of)
        for member, content in index.members.items():
            with self._publisher.open_member(keys, content.sha256) as table:
                yield member, convert(files.read(table, content, name), name)

    def _index(
        self, keys: ArtifactKeys, version: str | None, as_of: Moment | None
    ) -> tuple[TableFiles, SetIndex]:
        with self._input(keys, version, as_of) as (file, _):
            index = SetIndex.read(file)
        return TableFiles(self._publisher, table_format(StorageFormat(index.format))), index

    def _check_members(self, keys: ArtifactKeys, file: BinaryIO) -> None:
        if not keys.has_members:
            return
        for sha256 in SetIndex.read(file).hashes():
            with self._publisher.open_member(keys, sha256):
                pass  # opening it verifies it


def _as_frame(table: "pa.Table", name: str) -> "pd.DataFrame":
    import pyarrow as pa

    from orch_assets.stores.formats.frames import arrow_to_frame

    tables = [table]
    del table  # so that each column can be freed once it is in the frame
    try:
        return arrow_to_frame(tables.pop())
    except (pa.ArrowException, ValueError, OverflowError):  # their messages hold values
        raise StoreError(
            f"{named(name)} holds a value that pandas can't represent; read it with "
            "download_table().",
            artifact=name,
        ) from None
