"""The store of artifacts: tables, sets of tables and JSON values by name, over any backend."""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from orch_assets.errors import StoreError, UnstorableTableError, UnstorableValueError
from orch_assets.json_values import NotJsonError, json_value, to_json
from orch_assets.marked_names import named, named_type
from orch_assets.stores.artifact_sets import SetIndex
from orch_assets.stores.artifacts import ArtifactKind, Published, StorageFormat
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.catalog import ArtifactHistory
from orch_assets.stores.formats.csv_text import plain_csv
from orch_assets.stores.formats.table_files import TableFiles
from orch_assets.stores.formats.table_formats import table_format
from orch_assets.stores.lineage import note_input
from orch_assets.stores.maintenance.blinded_since import (
    BlindedSince,
    BlindedVersions,
    all_artifacts,
)
from orch_assets.stores.manifest import Content, Manifest
from orch_assets.stores.names import check_place
from orch_assets.stores.object_keys import ArtifactKeys, below
from orch_assets.stores.spooling import HashingFile

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from orch_assets.stores.tables import Incoming, Table


class PipelineStore(ArtifactHistory):
    """Artifacts by name: whole or not at all, verified, with their history.

    Args:
        backend: holds the bytes.
        prefix: goes before every name.
        format: of tables.
        escape_formulas: as :class:`~orch_assets.stores.formats.csv_text.CsvFormat` has it.
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
        written = table_format(self._format, escape_formulas=escape_formulas)
        self._files = TableFiles(self._publisher, written)

    def upload(self, df: "Table", name: str) -> str:
        """Publish a table and return its URI; see :meth:`publish`."""
        return self.publish(df, name).uri

    def upload_stream(
        self, batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema", name: str
    ) -> str:
        """Publish a table as its rows arrive and return its URI; see :meth:`publish_stream`."""
        return self.publish_stream(batches, schema, name).uri

    def upload_set(self, tables: "Mapping[str, Table]", name: str) -> str:
        """Publish tables that belong together and return the set's URI; see :meth:`publish_set`."""
        return self.publish_set(tables, name).uri

    def publish(self, table: "Table", name: str) -> Published:
        """Publish a table: what ``download`` gives back is what it is, exactly.

        A stream that knows its schema, such as a ``pyarrow.RecordBatchReader``, is published as by
        :meth:`publish_stream`.

        Raises:
            ArtifactNameError: the name can't be stored.
            UnstorableTableError: the table would not come back as it is.
            StudyCancelledError: the study at work may not publish any more; nothing changed.
            StoreUnavailableError: the store can't be written.
        """
        from orch_assets.stores.tables import incoming

        return self._publish_rows(partial(incoming, table), name)

    def publish_stream(
        self, batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema", name: str
    ) -> Published:
        """Publish a table as its rows arrive; raises as :meth:`publish`, and what ``batches`` does.

        Memory holds one row group, however many rows follow.
        """
        from orch_assets.stores.tables import incoming_stream

        return self._publish_rows(partial(incoming_stream, batches, schema), name)

    def publish_set(self, tables: "Mapping[str, Table]", name: str) -> Published:
        """Publish tables that belong together: a reader sees all of one publication or of another.

        A table may be a stream of record batches; memory then holds one row group of it. The
        tables are stored first, in their order, each under its hash, where nothing sees them. The
        set's current object is a small index of their names and hashes, ``<name>.set``, published
        as any artifact is: it is the only commit, and its manifest the only one.
        """
        from orch_assets.stores.tables import incoming

        keys = self._keys(name, ArtifactKind.SET)
        members: dict[str, Content] = {}
        waits: list[Callable[[], object]] = []
        for member, table in tables.items():
            if not isinstance(member, str):
                raise UnstorableTableError(
                    f"A table of the set {named(name)} is named by {named_type(type(member))}, not "
                    "text. Name each by text: a group's key k by str(k), or '-'.join(map(str, k)) "
                    "where it is of several columns."
                )
            with _naming(name, member, len(waits)):
                rows = incoming(table)
                members[member] = self._files.write(rows, keys.member)
            waits.append(rows.before_commit)
        for wait in waits:
            wait()
        index = SetIndex(self._format, members).to_json()
        stored = self._publisher.store(_writes(to_json(index)), keys.version)
        content = Content(
            stored.sha256,
            stored.size + sum(each.bytes for each in members.values()),
            rows=sum(each.rows or 0 for each in members.values()),
        )
        return self._published(keys, stored.size, content, members)

    def publish_json(self, value: Any, name: str, *, missing_as_null: bool = False) -> Published:
        """Publish a value as JSON has it: tuples become lists, numpy's scalars Python's numbers.

        Args:
            value: text, a finite number, a boolean, None; lists of such, and dicts by text.
            name: the artifact's.
            missing_as_null: stores NaN, and what is missing to pandas, as null.

        Raises:
            UnstorableValueError: the value, or one inside it, is nothing JSON has; or a key
                isn't text.
        """
        keys = self._keys(name, ArtifactKind.JSON)
        try:
            plain = json_value(value, missing_as_null=missing_as_null)
        except NotJsonError as error:
            raise UnstorableValueError(
                f"{named(name)} is no table and can't be stored as JSON. {error.marked} Return a "
                "table (pandas or Arrow), a dict of tables, or text, finite numbers, lists and "
                "dicts.",
                artifact=name,
            ) from None
        stored = self._publisher.store(_writes(to_json(plain)), keys.version)
        return self._published(keys, stored.size, Content(stored.sha256, stored.size))

    def download(self, name: str, version: str | None = None) -> "pd.DataFrame":
        """Return a table as pandas has it, verified.

        Args:
            name: the artifact's.
            version: its SHA-256, one of :meth:`versions`; the current one by default. A version of
                CSV is its text, with the types that this text was last published with.

        Raises:
            ArtifactNotFoundError: nothing of that name, or no such version, is stored.
            ArtifactCorruptError: the bytes are not what was published.
            StoreUnavailableError: the store can't be read.
            StoreError: the table never was a frame, and pandas can't hold it.
        """
        return _as_frame(self._read(name, version), name)

    def download_table(self, name: str, version: str | None = None) -> "pa.Table":
        """Return a table as Arrow has it, verified; raises as :meth:`download`."""
        from orch_assets.stores.tables import without_notes

        return without_notes(self._read(name, version))

    def open_reader(
        self, name: str, version: str | None = None, *, member: str | None = None
    ) -> "pa.RecordBatchReader":
        """Return a table's record batches, verified before the first is given out.

        Memory holds one row group. What was fetched lives on until the reader is at its end or
        dropped. Raises as :meth:`download`.

        Args:
            name: the artifact's.
            version: as of :meth:`download`.
            member: reads this table of the set of that name.
        """
        from orch_assets.stores.tables import reader_of

        with contextlib.ExitStack() as stack:
            if member is None:
                keys = self._keys(name, ArtifactKind.TABLE)
                file, manifest = stack.enter_context(self._input(keys, version))
                files, content = self._files, manifest.content
            else:
                keys = self._keys(name, ArtifactKind.SET)
                files, index = self._index(keys, version)
                content = index.member(member, name)
                file = stack.enter_context(self._publisher.open_member(keys, content.sha256))
            schema, batches = files.stream(file, content, name)
            return reader_of(batches, schema, stack.pop_all())

    def download_plain_csv(self, name: str, *, infer_types: bool = False) -> "pd.DataFrame":
        """Return a CSV file that no store published, so that nothing verifies it.

        Args:
            name: the file's, without ``.csv``.
            infer_types: let pandas guess; by default every column is text, where an empty field
                is null and ``""`` is empty text.

        Raises:
            ArtifactNotFoundError: there is no such file.
            ArtifactCorruptError: it is no CSV in UTF-8 with a header.
            StoreUnavailableError: the store can't be read.
        """
        # Not encoded: whoever put it there named the file.
        key = f"{below(self._prefix, check_place(name, 'file'))}.csv"
        with self._backend.open(key) as file:
            return plain_csv(file, name, infer_types=infer_types)

    def download_set(self, name: str, version: str | None = None) -> "dict[str, pd.DataFrame]":
        """Return the tables of a set as pandas has them; raises as :meth:`download`."""
        return {member: _as_frame(table, name) for member, table in self._members(name, version)}

    def download_set_tables(self, name: str, version: str | None = None) -> "dict[str, pa.Table]":
        """Return the tables of a set as Arrow has them; raises as :meth:`download`."""
        from orch_assets.stores.tables import without_notes

        return {member: without_notes(table) for member, table in self._members(name, version)}

    def members(self, name: str, version: str | None = None) -> Mapping[str, Content]:
        """Return what each table of a set is, by its name; raises as :meth:`download`."""
        return self._index(self._keys(name, ArtifactKind.SET), version)[1].members

    def download_json(self, name: str, version: str | None = None) -> Any:
        """Return a JSON value; raises as :meth:`download`."""
        keys = self._keys(name, ArtifactKind.JSON)
        with self._input(keys, version) as (file, _):
            return json.load(file)

    def blinded_since(self, names: Iterable[str] | None = None) -> list[BlindedSince]:
        """Return the versions that may hold values of variables that are withheld by now.

        See ``blinded_since``. To remove them, make what is current anew, then :meth:`retain`.

        Args:
            names: of the artifacts to look at, with the tables ``variables`` that they are made
                by; by default all there are.

        Raises:
            ArtifactCorruptError: a manifest, or a table ``variables``, can't be read.
            StoreUnavailableError: the store can't be read.
        """
        if names is None:
            artifacts = all_artifacts(self._backend, self._prefix, self._prefix)
        else:
            artifacts = [self._keys(name, kind) for name in names for kind in ArtifactKind]
        found = BlindedVersions(self._publisher, self._backend, artifacts, self.download_table)
        return list(found)

    def _publish_rows(self, take: "Callable[[], Incoming]", name: str) -> Published:
        keys = self._keys(name, ArtifactKind.TABLE)
        with _naming(name):
            rows = take()
            content = self._files.write(rows, keys.version)
        rows.before_commit()
        return self._published(keys, content.bytes, content)

    def _read(self, name: str, version: str | None) -> "pa.Table":
        keys = self._keys(name, ArtifactKind.TABLE)
        with self._input(keys, version) as (file, manifest):
            return self._files.read(file, manifest.content, name)

    def _members(self, name: str, version: str | None) -> "Iterator[tuple[str, pa.Table]]":
        keys = self._keys(name, ArtifactKind.SET)
        files, index = self._index(keys, version)
        for member, content in index.members.items():
            with self._publisher.open_member(keys, content.sha256) as table:
                yield member, files.read(table, content, name)

    def _index(self, keys: ArtifactKeys, version: str | None) -> tuple[TableFiles, SetIndex]:
        with self._input(keys, version) as (file, _):
            index = SetIndex.read(file)
        return TableFiles(self._publisher, table_format(index.format)), index

    @contextlib.contextmanager
    def _input(
        self, keys: ArtifactKeys, version: str | None
    ) -> Iterator[tuple[BinaryIO, Manifest]]:
        with self._opened(keys, version) as (file, manifest):
            note_input(self._backend.uri(keys.current), manifest.content.sha256)
            yield file, manifest

    def _check_members(self, keys: ArtifactKeys, file: BinaryIO) -> None:
        if keys.kind != ArtifactKind.SET.value:
            return
        for content in SetIndex.read(file).members.values():
            with self._publisher.open_member(keys, content.sha256):
                pass  # opened, it is verified


def _as_frame(table: "pa.Table", name: str) -> "pd.DataFrame":
    import pyarrow as pa

    from orch_assets.stores.formats.frames import arrow_to_frame

    try:
        return arrow_to_frame(table)
    except (pa.ArrowException, ValueError, OverflowError):  # their own words hold values
        raise StoreError(
            f"{named(name)} holds a value that pandas can't hold; read it by download_table().",
            artifact=name,
        ) from None


def _writes(data: bytes) -> Callable[[HashingFile], object]:
    return lambda file: file.write(data)


@contextlib.contextmanager
def _naming(name: str, member: str | None = None, position: int = 0) -> Iterator[None]:
    try:
        yield
    except UnstorableTableError as error:
        table = named(name)
        if member is not None:
            table = f"Table {named(member, str(position))} of {table}"
        problem = f"{table} can't be stored: {error.marked}"
        raise UnstorableTableError(problem, artifact=name) from None
