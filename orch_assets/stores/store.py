"""The artifact store: tables, sets of tables and JSON values by name, on any backend."""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from orch_assets.errors import StoreError, UnstorableTableError, UnstorableValueError
from orch_assets.json_values import NotJsonError, json_value, to_json
from orch_assets.marked_names import named, named_type
from orch_assets.stores.artifacts import ArtifactKind, Published, SetIndex, StorageFormat
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.catalog import ArtifactHistory
from orch_assets.stores.formats.csv_text import plain_csv
from orch_assets.stores.formats.table_files import TableFiles, table_format
from orch_assets.stores.lineage import note_input
from orch_assets.stores.maintenance.blinded_since import BlindedSince, BlindedVersions
from orch_assets.stores.maintenance.inventory import collect_objects
from orch_assets.stores.manifest import Content, Manifest
from orch_assets.stores.names import check_location
from orch_assets.stores.object_keys import ArtifactKeys, below
from orch_assets.stores.spooling import HashingFile

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from orch_assets.stores.tables import Incoming, Table


T = TypeVar("T")


class PipelineStore(ArtifactHistory):
    """Stores artifacts by name: completely or not at all, verified, with their history.

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
        self._files = TableFiles(
            self._publisher, table_format(self._format, escape_formulas=escape_formulas)
        )

    def upload(self, df: "Table", name: str) -> str:
        """Publish a table and return its URI; see :meth:`publish`."""
        return self.publish(df, name).uri

    def upload_stream(
        self, batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema", name: str
    ) -> str:
        """Publish a table as its rows arrive and return its URI; see :meth:`publish_stream`."""
        return self.publish_stream(batches, schema, name).uri

    def upload_set(self, tables: "Mapping[str, Table]", name: str) -> str:
        """Publish tables as one set and return the set's URI; see :meth:`publish_set`."""
        return self.publish_set(tables, name).uri

    def publish(self, table: "Table", name: str) -> Published:
        """Publish a table; ``download`` returns exactly the same table.

        A stream with a schema, such as a ``pyarrow.RecordBatchReader``, is published as
        :meth:`publish_stream` does.

        Raises:
            ArtifactNameError: The name can't be stored.
            UnstorableTableError: The table can't be stored without a change.
            StudyCancelledError: The running study may no longer publish; nothing changed.
            StoreUnavailableError: The store can't be written.
        """
        from orch_assets.stores.tables import incoming

        return self._publish_rows(partial(incoming, table), name)

    def publish_stream(
        self, batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema", name: str
    ) -> Published:
        """Publish a table while its rows arrive.

        Only one row group is held in memory, whatever the number of rows. Raises what
        :meth:`publish` and ``batches`` raise.
        """
        from orch_assets.stores.tables import incoming_stream

        return self._publish_rows(partial(incoming_stream, batches, schema), name)

    def publish_set(self, tables: "Mapping[str, Table]", name: str) -> Published:
        """Publish several tables as one: a reader never sees tables of different publications.

        A table may be a stream of record batches, of which one row group is held in memory. The
        tables are stored first, in their order, each under its hash, where no reader looks. The
        set's current object, ``<name>.set``, is a small index of their names and hashes. It is
        published like any other artifact, with the only commit and the only manifest.
        """
        from orch_assets.stores.tables import incoming

        keys = self._keys(name, ArtifactKind.SET)
        members: dict[str, Content] = {}
        waits: list[Callable[[], object]] = []
        for member, table in tables.items():
            if not isinstance(member, str):
                raise UnstorableTableError(
                    f"The set {named(name)} has a table whose name is of type "
                    f"{named_type(type(member))}, not text. Name tables by text: for the key k of "
                    "a group str(k), or '-'.join(map(str, k)) if it consists of several columns."
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
        """Publish a value as JSON; tuples become lists, and numpy scalars become Python numbers.

        Args:
            value: Text, a finite number, a boolean or None; or lists of these, or dicts of these
                with text as keys.
            name: Name of the artifact.
            missing_as_null: Whether NaN and pandas' missing values are stored as null.

        Raises:
            UnstorableValueError: The value, or one inside it, is not JSON-serializable; or a key
                isn't text.
        """
        keys = self._keys(name, ArtifactKind.JSON)
        try:
            plain = json_value(value, missing_as_null=missing_as_null)
        except NotJsonError as error:
            raise UnstorableValueError(
                f"{named(name)} is not a table and is not JSON-serializable. {error.marked} Return "
                "a table (pandas or Arrow), a dict of tables, or text, finite numbers, lists and "
                "dicts.",
                artifact=name,
            ) from None
        stored = self._publisher.store(_writes(to_json(plain)), keys.version)
        return self._published(keys, stored.size, Content(stored.sha256, stored.size))

    def download(self, name: str, version: str | None = None) -> "pd.DataFrame":
        """Return a table as a pandas frame, after verifying it.

        Args:
            name: Name of the artifact.
            version: SHA-256 of one of its :meth:`versions`; by default the current one. A version
                of a CSV table identifies its text; the column types are those with which that text
                was last published.

        Raises:
            ArtifactNotFoundError: There is no such artifact or version.
            ArtifactCorruptError: The bytes are not those that were published.
            StoreUnavailableError: The store can't be read.
            StoreError: The table was not published as a frame, and pandas can't represent it.
        """
        return _as_frame(self._read(name, version), name)

    def download_table(self, name: str, version: str | None = None) -> "pa.Table":
        """Return a table as an Arrow table, after verifying it; raises as :meth:`download`."""
        from orch_assets.stores.tables import without_notes

        return without_notes(self._read(name, version))

    def open_reader(
        self, name: str, version: str | None = None, *, member: str | None = None
    ) -> "pa.RecordBatchReader":
        """Return a table's record batches; all bytes are verified before the first one.

        Only one row group is held in memory. The fetched file exists until the reader reaches its
        end or is dropped. Raises as :meth:`download`.

        Args:
            name: Name of the artifact.
            version: See :meth:`download`.
            member: Name of a table in the set ``name``, to be read instead of a table ``name``.
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

    def download_set(self, name: str, version: str | None = None) -> "dict[str, pd.DataFrame]":
        """Return the tables of a set as pandas frames; raises as :meth:`download`."""
        return dict(self._members(name, version, _as_frame))

    def download_set_tables(self, name: str, version: str | None = None) -> "dict[str, pa.Table]":
        """Return the tables of a set as Arrow tables; raises as :meth:`download`."""
        from orch_assets.stores.tables import without_notes

        return dict(self._members(name, version, lambda table, _: without_notes(table)))

    def members(self, name: str, version: str | None = None) -> Mapping[str, Content]:
        """Return the content of each table of a set, by name; raises as :meth:`download`."""
        return self._index(self._keys(name, ArtifactKind.SET), version)[1].members

    def download_json(self, name: str, version: str | None = None) -> Any:
        """Return a JSON value; raises as :meth:`download`."""
        keys = self._keys(name, ArtifactKind.JSON)
        with self._input(keys, version) as (file, _):
            return json.load(file)

    def blinded_since(self, names: Iterable[str] | None = None) -> list[BlindedSince]:
        """Return the versions that may hold values of variables that have been blinded since.

        To remove them, publish the current versions again, then call :meth:`retain`. See the
        module ``blinded_since``.

        Args:
            names: Names of the artifacts to check, and of the tables ``variables`` from which they
                were made; by default all artifacts.

        Raises:
            ArtifactCorruptError: A manifest, or a table ``variables``, can't be read.
            StoreUnavailableError: The store can't be read.
        """
        if names is None:
            objects = collect_objects(self._backend, self._prefix, self._prefix)
            artifacts = [each.keys for each in objects]
        else:
            artifacts = [self._keys(name, kind) for name in names for kind in ArtifactKind]
        return [*BlindedVersions(self._publisher, self._backend, artifacts, self.download_table)]

    def _publish_rows(self, open_rows: "Callable[[], Incoming]", name: str) -> Published:
        keys = self._keys(name, ArtifactKind.TABLE)
        with _naming(name):
            rows = open_rows()
            content = self._files.write(rows, keys.version)
        rows.before_commit()
        return self._published(keys, content.bytes, content)

    def _read(self, name: str, version: str | None) -> "pa.Table":
        keys = self._keys(name, ArtifactKind.TABLE)
        with self._input(keys, version) as (file, manifest):
            return self._files.read(file, manifest.content, name)

    def _members(
        self, name: str, version: str | None, convert: "Callable[[pa.Table, str], T]"
    ) -> Iterator[tuple[str, T]]:
        keys = self._keys(name, ArtifactKind.SET)
        files, index = self._index(keys, version)
        for member, content in index.members.items():
            with self._publisher.open_member(keys, content.sha256) as table:
                yield member, convert(files.read(table, content, name), name)

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
