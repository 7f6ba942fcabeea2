"""Tables as Parquet, and what Parquet changes about their types undone."""

import functools
import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from orch_assets.errors import UnstorableTableError
from orch_assets.marked_names import named_column_type
from orch_assets.stores.formats.arrow_types import (
    cast_table,
    decode_schema,
    encode_schema,
    schema_of,
)
from orch_assets.stores.formats.batches import in_row_groups
from orch_assets.stores.formats.column_plans import column_label
from orch_assets.stores.formats.refusing import storable
from orch_assets.stores.spooling import HashingFile

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# A key in a file's metadata: the original columns, if other tools could not read them.
_COLUMNS = b"orch_assets.columns"
_WHOLE_HOURS = re.compile(r"[+-]\d\d:00")

# Many studies' tables of one schema arrive at once; the schema is checked only once.
_checking = threading.Lock()

# Smaller tables are read without threads. They gain nothing there, and on a busy machine a process
# that ends right after such a reading may abort: pyarrow 26 ends before its threads do.
_THREADED_VALUES = 1_000_000
# Rows of a batch, when a table is read as a stream.
_STREAM_ROWS = 1 << 13
# Bytes for each column. Without a buffer, a row group's columns are read whole before decoding.
_STREAM_BUFFER = 1 << 20
# pyarrow writes each page and its header by itself, and would call Python for each.
_WRITE_BUFFER = 1 << 18
# Memory of smaller row groups is returned once a second: it takes a third as long as encoding one.
_RELEASED_BYTES, _RELEASE_SECONDS = 16 << 20, 1.0


class _Released:
    """Returns free memory to the system, lest many small tables hold more and more of it."""

    def __init__(self) -> None:
        self._due = 0.0

    def after(self, written: int) -> None:
        """Return it if many bytes were written, or if it is time to."""
        import pyarrow as pa

        now = time.monotonic()
        if written >= _RELEASED_BYTES or now >= self._due:
            self._due = now + _RELEASE_SECONDS
            pa.default_memory_pool().release_unused()


_released = _Released()


class ParquetFormat:
    """Parquet, zstd at level 1, in row groups of 64 MB uncompressed."""

    def check(self, schema: "pa.Schema") -> None:
        """Try the schema on an empty file; if that fails, try each column to name the culprit."""
        import pyarrow as pa

        with _checking:
            if _parquet_holds(schema.remove_metadata()):
                return
        for position, field in enumerate(schema):
            if not _parquet_holds(pa.schema([field])):
                raise UnstorableTableError(
                    f"{column_label(field.name, position)} is of type "
                    f"{named_column_type(field.type)}, which Parquet can't hold."
                )

    def schema_beside(self, schema: "pa.Schema") -> None:
        """Return None: the file holds its Arrow schema."""

    def write(
        self, blocks: "Iterable[pa.RecordBatch]", schema: "pa.Schema", file: HashingFile
    ) -> None:
        """Write the table row group by row group."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        readable, options = _readable(schema), {"compression": "zstd", "compression_level": 1}
        with (
            pa.BufferedOutputStream(pa.PythonFile(file, "w"), _WRITE_BUFFER) as buffered,
            pq.ParquetWriter(buffered, readable, **options) as writer,
        ):
            for table in in_row_groups(blocks):
                _check_narrowing(table)
                group = table if readable is schema else table.cast(readable)
                del table
                try:
                    writer.write_table(group, row_group_size=group.num_rows)
                except (pa.ArrowException, ValueError, TypeError):
                    _refuse(group)
                written = group.nbytes
                del group  # before the next one is gathered
                _released.after(written)

    def read(
        self,
        file: BinaryIO,
        schema: "pa.Schema | None",  # noqa: ARG002 - the file has it
        columns: Sequence[str] | None = None,
    ) -> "pa.Table":
        """Read the table, or some of its columns, and restore the types."""
        parquet, original = _opened(file)
        wanted = original if columns is None else schema_of(original, columns)
        threaded = parquet.metadata.num_rows * len(wanted) > _THREADED_VALUES
        table = parquet.read(wanted.names, use_threads=threaded).select(wanted.names)
        return cast_table(table, wanted)

    def stream(
        self,
        file: BinaryIO,
        schema: "pa.Schema | None",  # noqa: ARG002 - the file has it
    ) -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
        """Read batch by batch; one row group is in memory at once."""
        import pyarrow as pa

        parquet, original = _opened(file, buffer_size=_STREAM_BUFFER)
        return original, (
            each
            for batch in parquet.iter_batches(_STREAM_ROWS, columns=original.names)
            for each in cast_table(pa.Table.from_batches([batch]), original).to_batches()
        )


@functools.lru_cache(maxsize=256)  # hundreds of studies have the same columns
def _parquet_holds(schema: "pa.Schema") -> bool:
    """Return whether the columns come back unchanged from an empty file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = BytesIO()
    try:
        pq.ParquetWriter(file, schema).close()
        cast_table(pq.read_schema(file).empty_table(), schema)
    except (pa.ArrowException, TypeError, ValueError, OSError):
        return False
    return True


def _opened(file: BinaryIO, buffer_size: int = 0) -> "tuple[pq.ParquetFile, pa.Schema]":
    """Return a file's reader, and the schema of the table that was written to it."""
    import pyarrow.parquet as pq

    parquet = pq.ParquetFile(file, buffer_size=buffer_size, pre_buffer=False)
    schema = decode_schema(parquet.metadata.metadata[b"ARROW:schema"])
    metadata = dict(schema.metadata or {})
    if columns := metadata.pop(_COLUMNS, None):
        schema = decode_schema(columns).with_metadata(metadata or None)
    return parquet, schema


def _readable(schema: "pa.Schema") -> "pa.Schema":
    """Return a schema that every tool can read, with the original columns in its metadata.

    Polars fails on time zones with offsets of half an hour, and DuckDB on files without a column.
    """
    import pyarrow as pa

    fields = [_readable_field(field) for field in schema] or [pa.field("no_column", pa.null())]
    readable = pa.schema(fields)
    if readable.equals(schema):
        return schema
    columns = encode_schema(schema.remove_metadata())
    return readable.with_metadata({**(schema.metadata or {}), _COLUMNS: columns})


def _readable_field(field: "pa.Field") -> "pa.Field":
    import pyarrow as pa

    zone = field.type.tz if pa.types.is_timestamp(field.type) else None
    if zone is None or zone[:1] not in "+-" or _WHOLE_HOURS.fullmatch(zone):
        return field
    return field.with_type(pa.timestamp(field.type.unit, "UTC"))


def _refuse(table: "pa.Table") -> NoReturn:
    """Name the column that Parquet can't hold, by writing each column alone."""
    import pyarrow.parquet as pq

    for position, field in enumerate(table.schema):
        with storable(*_in_parquet(field, position)):
            pq.write_table(table.select([field.name]), BytesIO())
    raise UnstorableTableError("The table holds values that can't be stored in Parquet.")


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
    return column_label(field.name, position), f"{named_column_type(field.type)} in Parquet"
