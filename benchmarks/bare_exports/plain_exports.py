"""Dataset-JSON, CSV and Parquet with the libraries alone: no notes, no comparison."""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq


def write_json(batches: Iterator[pa.RecordBatch], _schema: pa.Schema, path: Path) -> None:
    """Write the rows as a JSON document with msgspec, the fastest encoder."""
    rows: list[Any] = []
    for batch in batches:
        rows += zip(*(cells.to_pylist() for cells in batch.columns), strict=True)
    path.write_bytes(msgspec.json.encode({"rows": rows}))


def read_json(path: Path) -> Any:
    """Return the rows of a document as a data frame, as cdisc-rules-engine does."""
    with path.open() as file:
        return pd.DataFrame(json.load(file)["rows"])


def write_lines(batches: Iterator[pa.RecordBatch], _schema: pa.Schema, path: Path) -> None:
    """Write a line for the metadata, and a line a row with msgspec."""
    encoder = msgspec.json.Encoder()
    with path.open("wb") as file:
        file.write(b"{}\n")
        for batch in batches:
            rows = zip(*(cells.to_pylist() for cells in batch.columns), strict=True)
            file.write(encoder.encode_lines(list(rows)))


def read_lines(path: Path) -> Any:
    """Return the rows of all lines but the first as a data frame."""
    with path.open() as file:
        next(file)
        return pd.DataFrame([json.loads(line) for line in file])


def write_csv(batches: Iterator[pa.RecordBatch], schema: pa.Schema, path: Path) -> None:
    """Write CSV with pyarrow."""
    with pc.CSVWriter(path, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def read_csv(path: Path) -> Any:
    """Read CSV with DuckDB into an Arrow table; it guesses the types."""
    import duckdb

    return duckdb.sql("SELECT * FROM read_csv(?)", params=[str(path)]).to_arrow_table()


def write_parquet(batches: Iterator[pa.RecordBatch], schema: pa.Schema, path: Path) -> None:
    """Write Parquet with pyarrow, in row groups of the usual size."""
    with pq.ParquetWriter(path, schema) as writer:
        while some := list(itertools.islice(batches, 4)):
            writer.write_table(pa.Table.from_batches(some))


def read_parquet(path: Path) -> Any:
    """Read Parquet with DuckDB into an Arrow table."""
    import duckdb

    return duckdb.sql("SELECT * FROM read_parquet(?)", params=[str(path)]).to_arrow_table()


WRITE: dict[str, Callable[[Iterator[pa.RecordBatch], pa.Schema, Path], None]] = {
    "dataset-json": write_json,
    "dataset-ndjson": write_lines,
    "csv": write_csv,
    "parquet": write_parquet,
}
READ: dict[str, Callable[[Path], Any]] = {
    "dataset-json": read_json,
    "dataset-ndjson": read_lines,
    "csv": read_csv,
    "parquet": read_parquet,
}
