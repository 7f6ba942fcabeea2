"""The formats of tables, each a small class: record batches to a file, and back."""

import functools
import re
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, NoReturn, Protocol

from orch_assets.errors import UnstorableTableError
from orch_assets.marked_names import named, named_column_type
from orch_assets.stores.artifacts import StorageFormat
from orch_assets.stores.formats.batches import in_row_groups
from orch_assets.stores.formats.csv_text import CsvFormat
from orch_assets.stores.formats.retyping import retyped_table
from orch_assets.stores.refusing import storable
from orch_assets.stores.spooling import HashingFile

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# In a file's metadata: the columns as they were, where other tools could not read them so.
_COLUMNS = b"orch_assets.columns"
_HOUR = re.compile(r"[+-]\d\d:00")

# Many studies' tables of one schema come at once; it is to be tried once.
_trying = threading.Lock()
# Of a batch that is read.
_STREAM_ROWS = 1 << 16
# Of each column: without one, a row group's columns are held as a whole before they are decoded.
_STREAM_BUFFER = 1 << 20


class TableFormat(Protocol):
    """Writes and reads one format."""

    def check(self, schema: "pa.Schema") -> None:
        """Refuse a schema that the format can't give back, before any row is asked for."""
        ...

    def schema_beside(self, schema: "pa.Schema") -> "pa.Schema | None":
        """Return what must be kept beside the bytes; None where they say all about the types."""
        ...

    def write(
        self, blocks: "Iterable[pa.RecordBatch]", schema: "pa.Schema", file: HashingFile
    ) -> None:
        """Write a table; bounded in memory."""
        ...

    def read(self, file: BinaryIO, schema: "pa.Schema | None") -> "pa.Table":
        """Read a table; with what was kept beside it."""
        ...

    def stream(
        self, file: BinaryIO, schema: "pa.Schema | None"
    ) -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
        """Return a table's schema and its batches; bounded in memory."""
        ...


class ParquetFormat:
    """Parquet, zstd at level 1, in row groups of 64 MB uncompressed."""

    def check(self, schema: "pa.Schema") -> None:
        """Try it on an empty file; where that fails, each column, to name the one."""
        import pyarrow as pa

        with _trying:
            if _parquet_holds(schema.remove_metadata()):
                return
        for position, field in enumerate(schema):
            if not _parquet_holds(pa.schema([field])):
                raise UnstorableTableError(
                    f"Column {named(field.name, str(position))} is of type "
                    f"{named_column_type(field.type)}, which Parquet can't hold."
                )

    def schema_beside(self, schema: "pa.Schema") -> None:
        """Return nothing: the file holds its Arrow schema."""

    def write(
        self, blocks: "Iterable[pa.RecordBatch]", schema: "pa.Schema", file: HashingFile
    ) -> None:
        """Write row group by row group."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        readable = _readable(schema)
        with pq.ParquetWriter(file, readable, compression="zstd", compression_level=1) as writer:
            for table in in_row_groups(blocks):
                _check_narrowing(table)
                group = table if readable is schema else table.cast(readable)
                del table
                try:
                    writer.write_table(group, row_group_size=group.num_rows)
                except (pa.ArrowException, ValueError, TypeError):
                    _refuse(group)
                del group  # before the next one is gathered
        pa.default_memory_pool().release_unused()  # before what was written is sent

    def read(
        self,
        file: BinaryIO,
        schema: "pa.Schema | None",  # noqa: ARG002 - the file has it
    ) -> "pa.Table":
        """Read the table, and undo what Parquet changed about its types."""
        parquet, held = _opened(file)
        return retyped_table(parquet.read(held.names), held)

    def stream(
        self,
        file: BinaryIO,
        schema: "pa.Schema | None",  # noqa: ARG002 - the file has it
    ) -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
        """Read batch by batch; memory holds one row group."""
        import pyarrow as pa

        parquet, held = _opened(file, buffer_size=_STREAM_BUFFER)
        return held, (
            each
            for batch in parquet.iter_batches(_STREAM_ROWS, columns=held.names)
            for each in retyped_table(pa.Table.from_batches([batch]), held).to_batches()
        )


def table_format(storage_format: StorageFormat, *, escape_formulas: bool = False) -> TableFormat:
    """Return the class that writes and reads a format."""
    if storage_format is StorageFormat.CSV:
        return CsvFormat(escape_formulas=escape_formulas)
    return ParquetFormat()


@functools.lru_cache(maxsize=256)  # hundreds of studies have the same columns
def _parquet_holds(schema: "pa.Schema") -> bool:
    """Return whether columns come back from an empty file as they are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = BytesIO()
    try:
        pq.ParquetWriter(file, schema).close()
        retyped_table(pq.read_schema(file).empty_table(), schema)
    except (pa.ArrowException, TypeError, ValueError, OSError):
        return False
    return True


def _opened(file: BinaryIO, buffer_size: int = 0) -> "tuple[pq.ParquetFile, pa.Schema]":
    import pyarrow as pa
    import pyarrow.parquet as pq

    parquet = pq.ParquetFile(file, buffer_size=buffer_size, pre_buffer=False)
    held = pa.ipc.read_schema(pa.py_buffer(b64decode(parquet.metadata.metadata[b"ARROW:schema"])))
    metadata = dict(held.metadata or {})
    if columns := metadata.pop(_COLUMNS, None):
        exact = pa.ipc.read_schema(pa.py_buffer(b64decode(columns)))
        held = exact.with_metadata(metadata or None)
    return parquet, held


def _readable(schema: "pa.Schema") -> "pa.Schema":
    """Return a schema as every tool reads it, with a note on what it was.

    Polars fails on the offset of a half hour, and DuckDB on a file without a column.
    """
    import pyarrow as pa

    fields = [_readable_field(field) for field in schema] or [pa.field("no_column", pa.null())]
    readable = pa.schema(fields)
    if readable.equals(schema):
        return schema
    columns = b64encode(schema.remove_metadata().serialize())
    return readable.with_metadata({**(schema.metadata or {}), _COLUMNS: columns})


def _readable_field(field: "pa.Field") -> "pa.Field":
    import pyarrow as pa

    zone = field.type.tz if pa.types.is_timestamp(field.type) else None
    if zone is None or zone[:1] not in "+-" or _HOUR.fullmatch(zone):
        return field
    return field.with_type(pa.timestamp(field.type.unit, "UTC"))


def _refuse(table: "pa.Table") -> NoReturn:
    """Name the column that Parquet can't hold, by trying each alone."""
    import pyarrow.parquet as pq

    for position, field in enumerate(table.schema):
        with storable(*_in_parquet(field, position)):
            pq.write_table(table.select([field.name]), BytesIO())
    raise UnstorableTableError("It holds what can't be stored in Parquet.")


def _check_narrowing(table: "pa.Table") -> None:
    """Refuse values that Parquet's own type for a column would change or refuse."""
    import pyarrow as pa

    for position, (field, column) in enumerate(zip(table.schema, table.columns, strict=True)):
        with storable(*_in_parquet(field, position)):
            if pa.types.is_timestamp(field.type) and field.type.unit == "s":
                column.cast(pa.timestamp("ms", field.type.tz))
            elif pa.types.is_date64(field.type):
                column.cast(pa.date32())


def _in_parquet(field: "pa.Field", position: int) -> tuple[str, str]:
    """Return how an error names a column, and its type."""
    return (
        f"Column {named(field.name, str(position))}",
        f"{named_column_type(field.type)} in Parquet",
    )
