"""Excel workbooks and DuckDB files with the libraries alone: no notes, no comparison."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa


def write_workbook(batches: Iterator[pa.RecordBatch], schema: pa.Schema, path: Path) -> None:
    """Write a sheet with XlsxWriter, which chooses the type of each cell."""
    import xlsxwriter

    options = {"constant_memory": True, "remove_timezone": True}
    with xlsxwriter.Workbook(str(path), options) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, schema.names)
        row = 1
        for batch in batches:
            for cells in zip(*(cells.to_pylist() for cells in batch.columns), strict=True):
                sheet.write_row(row, 0, cells)
                row += 1


def read_workbook(path: Path) -> Any:
    """Read the sheet with calamine into lists."""
    from python_calamine import CalamineWorkbook

    with CalamineWorkbook.from_path(path) as book:
        return book.get_sheet_by_index(0).to_python()


def write_database(batches: Iterator[pa.RecordBatch], schema: pa.Schema, path: Path) -> None:
    """Create a table of the rows with DuckDB."""
    import duckdb

    with duckdb.connect(str(path)) as connection:
        connection.register("rows", pa.RecordBatchReader.from_batches(schema, batches))
        connection.execute("CREATE TABLE AE AS SELECT * FROM rows")


def read_database(path: Path) -> Any:
    """Read the table with DuckDB into an Arrow table."""
    import duckdb

    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.sql("SELECT * FROM AE").to_arrow_table()


WRITE: dict[str, Callable[[Iterator[pa.RecordBatch], pa.Schema, Path], None]] = {
    "xlsx": write_workbook,
    "duckdb": write_database,
}
READ: dict[str, Callable[[Path], Any]] = {"xlsx": read_workbook, "duckdb": read_database}
