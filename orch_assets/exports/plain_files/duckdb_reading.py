"""Reads files with DuckDB in bounded memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import ExportMismatchError
from orch_assets.exports.cell_texts import moments_of
from orch_assets.exports.exported_table import ExportedTable
from orch_assets.exports.two_at_once import one_ahead
from orch_assets.extras import needing

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS: Final = 16_384


def duckdb_release() -> str:
    """Return the library and its release."""
    with needing("exports"):
        import duckdb
    return f"duckdb {duckdb.__version__}"


def duckdb_batches(
    table: ExportedTable, schema: "pa.Schema", query: str, path: Path
) -> "Iterator[pa.RecordBatch]":
    """Yield the rows of a file, in its order.

    Args:
        table: The table that errors name.
        schema: The columns that the rows should have. DuckDB has fewer types, so they are cast.
        query: The query, with a ``?`` for the path.
        path: The file.

    Raises:
        ExportMismatchError: DuckDB can't read the file, or a cell isn't of its type.
    """
    with needing("exports"):
        import duckdb
    # What doesn't fit into memory stays beside the file, which may be restricted.
    temporary = str(path.parent / "duckdb-temporary")
    config = {"autoinstall_known_extensions": "false", "temp_directory": temporary}
    with duckdb.connect(config={**config}) as connection:
        yield from query_batches(connection, table, schema, query, [str(path)])


def query_batches(
    connection: Any,
    table: ExportedTable,
    schema: "pa.Schema",
    query: str,
    parameters: Sequence[object] = (),
) -> "Iterator[pa.RecordBatch]":
    """Yield the rows of a query on a connection; otherwise as :func:`duckdb_batches`."""
    import pyarrow as pa

    with needing("exports"):
        import duckdb
    failed = False
    try:
        rows = connection.sql(query, params=[*parameters])
        for batch in one_ahead(_reader(rows)):
            columns = [
                _in_type(cells, field.type)
                for cells, field in zip(batch.columns, schema, strict=True)
            ]
            yield pa.record_batch(columns, schema=schema)
    # DuckDB's own errors are OSErrors after the first batch: findings/duckdb_streamed_errors.sh
    except (duckdb.Error, pa.ArrowException, ValueError, OSError):
        failed = True  # the error's text may hold a value
    if failed:
        raise ExportMismatchError(table.study_key, table.name)


def _reader(rows: Any) -> "pa.RecordBatchReader":
    """Return the batches of a result; the method's former name is deprecated."""
    open_reader = getattr(rows, "to_arrow_reader", None) or rows.fetch_arrow_reader
    reader: pa.RecordBatchReader = open_reader(_BATCH_ROWS)
    return reader


def _in_type(cells: "pa.Array", type_: "pa.DataType") -> "pa.Array":
    import pyarrow as pa

    was_text = pa.types.is_string(cells.type) and pa.types.is_timestamp(type_)
    return moments_of(cells, type_) if was_text else cells.cast(type_)
