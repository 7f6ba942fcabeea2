"""The formats of tables, each a small class: record batches to a file, and back."""

from base64 import b64decode
from collections.abc import Iterable
from enum import Enum
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, Protocol

from orch_assets.errors import UnstorableTableError
from orch_assets.stores.batches import in_row_groups
from orch_assets.stores.csv_text import CsvFormat
from orch_assets.stores.refusing import storable
from orch_assets.stores.retyping import retyped_table
from orch_assets.stores.spooling import HashingFile

if TYPE_CHECKING:
    import pyarrow as pa


class StorageFormat(str, Enum):
    """How tables are stored."""

    PARQUET = "parquet"
    CSV = "csv"


class TableFormat(Protocol):
    """Writes and reads one format.

    Attributes:
        holds_schema: whether the bytes alone say all about the table's types.
    """

    holds_schema: bool

    def check(self, schema: "pa.Schema") -> None:
        """Refuse a schema that the format can't give back, before any row is asked for."""
        ...

    def write(
        self, blocks: "Iterable[pa.RecordBatch]", schema: "pa.Schema", file: HashingFile
    ) -> None:
        """Write a table; bounded in memory."""
        ...

    def read(self, file: BinaryIO, schema: "pa.Schema | None") -> "pa.Table":
        """Read a table; with its schema where the format doesn't hold it."""
        ...


class ParquetFormat:
    """Parquet, zstd at level 1, in row groups of 64 MB uncompressed."""

    holds_schema = True

    def check(self, schema: "pa.Schema") -> None:
        """Try each column on an empty file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        for field in schema:
            one = pa.schema([field])
            file = BytesIO()
            try:
                pq.ParquetWriter(file, one).close()
                retyped_table(pq.read_schema(file).empty_table(), one)
            except (pa.ArrowException, TypeError, ValueError):
                raise UnstorableTableError(
                    f"Column {field.name!r} is of type {field.type}, which Parquet can't hold."
                ) from None

    def write(
        self, blocks: "Iterable[pa.RecordBatch]", schema: "pa.Schema", file: HashingFile
    ) -> None:
        """Write row group by row group."""
        import pyarrow.parquet as pq

        with pq.ParquetWriter(file, schema, compression="zstd", compression_level=1) as writer:
            for group in in_row_groups(blocks):
                _check_narrowing(group)
                with storable("A column", "Parquet"):
                    writer.write_table(group, row_group_size=group.num_rows)

    def read(self, file: BinaryIO, schema: "pa.Schema | None") -> "pa.Table":
        """Read the table, and undo what Parquet changed about its types."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        parquet = pq.ParquetFile(file)
        held = parquet.metadata.metadata[b"ARROW:schema"]
        schema = pa.ipc.read_schema(pa.py_buffer(b64decode(held)))
        return retyped_table(parquet.read(), schema)


FORMATS: dict[StorageFormat, TableFormat] = {
    StorageFormat.PARQUET: ParquetFormat(),
    StorageFormat.CSV: CsvFormat(),
}


def _check_narrowing(table: "pa.Table") -> None:
    """Refuse values that Parquet's own type for a column would change or refuse."""
    import pyarrow as pa

    for field, column in zip(table.schema, table.columns, strict=True):
        with storable(f"Column {field.name!r}", f"{field.type} in Parquet"):
            if pa.types.is_timestamp(field.type) and field.type.unit == "s":
                column.cast(pa.timestamp("ms", field.type.tz))
            elif pa.types.is_date64(field.type):
                column.cast(pa.date32())
