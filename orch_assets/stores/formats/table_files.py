"""Tables as stored files of one format."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, Protocol

from orch_assets.errors import ArtifactCorruptError, UnstorableTableError
from orch_assets.marked_names import named
from orch_assets.stores.artifacts import StorageFormat
from orch_assets.stores.formats.arrow_types import decode_schema, encode_schema, has_empty_lists
from orch_assets.stores.formats.column_plans import column_label
from orch_assets.stores.formats.csv_text import CsvFormat
from orch_assets.stores.formats.parquet import ParquetFormat
from orch_assets.stores.manifest import Content
from orch_assets.stores.publishing import Publisher
from orch_assets.stores.spooling import HashingFile

if TYPE_CHECKING:
    import pyarrow as pa

    from orch_assets.stores.tables import Incoming


class TableFormat(Protocol):
    """Writes and reads one format."""

    def check(self, schema: "pa.Schema") -> None:
        """Refuse a schema that the format can't restore, before any row is read."""
        ...

    def schema_beside(self, schema: "pa.Schema") -> "pa.Schema | None":
        """Return the schema that the manifest must hold; None if the file holds all types."""
        ...

    def write(
        self, blocks: "Iterable[pa.RecordBatch]", schema: "pa.Schema", file: HashingFile
    ) -> None:
        """Write a table in bounded memory."""
        ...

    def read(
        self,
        file: BinaryIO,
        schema: "pa.Schema | None",
        columns: Sequence[str] | None = None,
    ) -> "pa.Table":
        """Read a table, or some of its columns, given the schema from its manifest."""
        ...

    def stream(
        self, file: BinaryIO, schema: "pa.Schema | None"
    ) -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
        """Return a table's schema and its batches, read in bounded memory."""
        ...


def table_format(storage_format: StorageFormat, *, escape_formulas: bool = False) -> TableFormat:
    """Return the class that writes and reads a format."""
    if storage_format is StorageFormat.CSV:
        return CsvFormat(escape_formulas=escape_formulas)
    return ParquetFormat()


class TableFiles:
    """Writes tables as versions of artifacts, and reads verified files back."""

    def __init__(self, publisher: Publisher, table_format: TableFormat) -> None:
        self._publisher = publisher
        self._format = table_format

    def write(self, table: "Incoming", key: Callable[[str], str]) -> Content:
        """Store a table under the key made of its hash, and return its description.

        Raises:
            UnstorableTableError: the table would not come back unchanged.
        """
        if table.refresh and table.refresh.unchanged:  # it isn't an empty table
            raise UnstorableTableError(
                "Nothing has changed since the earlier version, so this stream has no rows. Read "
                "the earlier version."
            )
        for position, field in enumerate(table.schema):
            if has_empty_lists(field.type):  # Parquet's readers and Polars fail on them
                raise UnstorableTableError(
                    f"{column_label(field.name, position)} has lists of the fixed size 0, which "
                    "can't be stored; make lists of any size of them."
                )
        self._format.check(table.schema)

        def fill(file: HashingFile) -> None:
            self._format.write(table.counted(), table.schema, file)

        stored = self._publisher.store(fill, key)
        columns = tuple((field.name, str(field.type)) for field in table.schema)
        beside = self._format.schema_beside(table.schema)
        schema = encode_schema(beside).decode() if beside is not None else None
        return Content(stored.sha256, stored.size, table.rows, columns, schema)

    def read(
        self,
        file: BinaryIO,
        content: Content,
        name: str,
        columns: Sequence[str] | None = None,
    ) -> "pa.Table":
        """Return the table in a file, or some of its columns.

        Raises:
            ArtifactCorruptError: the file is not the one that ``content`` describes. The error
                names the artifact ``name``.
        """
        with _corrupt_if_unreadable(name):
            return self._format.read(file, _schema(content), columns)

    def stream(
        self, file: BinaryIO, content: Content, name: str
    ) -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
        """Return the schema and the batches of the table in a file; raises like :meth:`read`."""
        with _corrupt_if_unreadable(name):
            schema, batches = self._format.stream(file, _schema(content))
        return schema, _checked(batches, name)


def _schema(content: Content) -> "pa.Schema | None":
    return decode_schema(content.schema) if content.schema else None


def _checked(batches: "Iterator[pa.RecordBatch]", name: str) -> "Iterator[pa.RecordBatch]":
    with _corrupt_if_unreadable(name):
        yield from batches


@contextlib.contextmanager
def _corrupt_if_unreadable(name: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, ValueError, KeyError):
        raise ArtifactCorruptError(
            f"{named(name)} is not the table that its manifest describes. "
            "Publish it again, or read one of versions().",
            artifact=name,
        ) from None
