"""Parquet files that pandas, Polars, DuckDB and pyarrow read alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orch_assets.errors import ExportMismatchError
from orch_assets.exports.export_format import ColumnNames, FileHolds
from orch_assets.exports.export_notes import Notes
from orch_assets.exports.exported_table import ExportedTable
from orch_assets.exports.plain_cells import PlainTable
from orch_assets.exports.plain_files.duckdb_reading import duckdb_batches, duckdb_release
from orch_assets.exports.plain_types import HeldByFormat
from orch_assets.exports.side_by_side import require_same_rows
from orch_assets.exports.two_at_once import one_behind

if TYPE_CHECKING:
    import pyarrow as pa

_HELD: Final = HeldByFormat(
    not_finite=True, binary=True, nanosecond_times=False, long_decimals=False
)
_GROUP_ROWS: Final = 32_768


def export_format(_name: str) -> "PlainParquetFormat":
    """Return the format."""
    return PlainParquetFormat()


@dataclass(frozen=True)
class PlainParquetFormat:
    """Writes Parquet with pyarrow, and reads it back with DuckDB."""

    name: str = "parquet"
    extension: str = "parquet"
    holds: FileHolds = FileHolds.TABLE

    @property
    def reader(self) -> str:
        """DuckDB and its release."""
        return duckdb_release()

    def prepare(self, tables: Sequence[ExportedTable], _earlier: ColumnNames) -> "ParquetFile":
        """Return the file for a table."""
        (table,) = tables
        return ParquetFile(PlainTable(table, _HELD))


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file of one table. A field's metadata has its label."""

    plain: PlainTable

    @property
    def names(self) -> ColumnNames:
        """Nothing: Parquet holds all names."""
        return {}

    def write(self, path: Path, notes: Notes) -> None:
        """Write the file."""
        import pyarrow.parquet as pq

        self.plain.note_columns(notes)
        schema = _without_pandas(self.plain.schema)
        with pq.ParquetWriter(path, schema) as writer, one_behind(writer.write_table) as write:
            for group in _row_groups(self.plain.batches(_GROUP_ROWS, notes), schema):
                write(group)

    def verify(self, path: Path) -> None:
        """Read the file with DuckDB and compare it with the table."""
        import pyarrow.parquet as pq

        table, schema = self.plain.table, _without_pandas(self.plain.schema)
        if not pq.read_schema(path).equals(schema, check_metadata=True):  # the labels, too
            raise ExportMismatchError(table.study_key, table.name)
        found = duckdb_batches(table, schema, "SELECT * FROM read_parquet(?)", path)
        require_same_rows(table, self.plain.batches(_GROUP_ROWS, None), found)


def _row_groups(batches: "Iterator[pa.RecordBatch]", schema: "pa.Schema") -> "Iterator[pa.Table]":
    """Yield the rows in row groups of the same size, however the batches divide them."""
    import pyarrow as pa

    waiting = schema.empty_table()
    for batch in batches:
        waiting = pa.concat_tables([waiting, pa.table(batch.columns, schema=schema)])
        while waiting.num_rows >= _GROUP_ROWS:
            yield waiting.slice(0, _GROUP_ROWS).combine_chunks()
            waiting = waiting.slice(_GROUP_ROWS)
    if waiting.num_rows:
        yield waiting.combine_chunks()


def _without_pandas(schema: "pa.Schema") -> "pa.Schema":
    """Return a schema without the notes by which pandas makes an index and categories."""
    metadata = {key: text for key, text in (schema.metadata or {}).items() if key != b"pandas"}
    return schema.with_metadata(metadata)
