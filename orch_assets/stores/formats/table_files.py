"""Tables as stored files of one format."""

import contextlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from orch_assets.errors import ArtifactCorruptError
from orch_assets.marked_names import named
from orch_assets.stores.formats.table_formats import TableFormat
from orch_assets.stores.manifest import Content
from orch_assets.stores.publishing import Publisher
from orch_assets.stores.spooling import HashingFile

if TYPE_CHECKING:
    import pyarrow as pa

    from orch_assets.stores.tables import Incoming


class TableFiles:
    """Writes tables as versions of artifacts, and reads verified files back."""

    def __init__(self, publisher: Publisher, table_format: TableFormat) -> None:
        self._publisher = publisher
        self._format = table_format

    def write(self, table: "Incoming", key: Callable[[str], str]) -> Content:
        """Store a table under a key made of its hash, and return what it is.

        Raises:
            UnstorableTableError: it would not come back as it is.
        """
        self._format.check(table.schema)

        def fill(file: HashingFile) -> None:
            self._format.write(table.counted(), table.schema, file)

        stored = self._publisher.store(fill, key)
        columns = tuple((field.name, str(field.type)) for field in table.schema)
        beside = self._format.schema_beside(table.schema)
        schema = b64encode(beside.serialize()).decode() if beside is not None else None
        return Content(stored.sha256, stored.size, table.rows, columns, schema)

    def read(self, file: BinaryIO, content: Content, name: str) -> "pa.Table":
        """Return the table in a file.

        Raises:
            ArtifactCorruptError: the file is not what ``content`` says of the artifact ``name``.
        """
        with _describing(name):
            return self._format.read(file, _schema(content))

    def stream(
        self, file: BinaryIO, content: Content, name: str
    ) -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
        """Return the schema and the batches of the table in a file; raise as :meth:`read`."""
        with _describing(name):
            schema, batches = self._format.stream(file, _schema(content))
        return schema, _described(batches, name)


def _schema(content: Content) -> "pa.Schema | None":
    import pyarrow as pa

    held = content.schema
    return pa.ipc.read_schema(pa.py_buffer(b64decode(held))) if held else None


def _described(batches: "Iterator[pa.RecordBatch]", name: str) -> "Iterator[pa.RecordBatch]":
    with _describing(name):
        yield from batches


@contextlib.contextmanager
def _describing(name: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, ValueError, KeyError):
        raise ArtifactCorruptError(
            f"{named(name)} is not the table that its manifest describes. "
            "Publish it again, or read one of versions().",
            artifact=name,
        ) from None
