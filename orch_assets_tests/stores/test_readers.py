"""pandas, pyarrow, Polars and DuckDB read every Parquet object that a store writes."""

from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given

from orch_assets.stores import StorageFormat
from orch_assets_tests.stores.test_fidelity import (
    EDGES,
    QUICK,
    SIMPLE_TYPES,
    frames,
    stored,
    values_of,
)


def with_duckdb(path: Path) -> Any:
    return duckdb.sql(f"select * from read_parquet('{path}')").fetchall()


READERS = {
    "pandas": pd.read_parquet,
    "pyarrow": pq.read_table,
    "polars": pl.read_parquet,
    "duckdb": with_duckdb,
}
EACH_READER = pytest.mark.parametrize("reader", READERS)


def rows_read(frame: Any, reader: str, folder: Path) -> int:
    path = folder / "object.parquet"
    path.write_bytes(stored(frame, StorageFormat.PARQUET)[1])
    return len(READERS[reader](path))


@EACH_READER
@QUICK
@given(frame=frames())
def test_every_reader_reads_every_frame(
    reader: str, frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows_read(frame, reader, tmp_path_factory.mktemp("read"))


@EACH_READER
@pytest.mark.parametrize("frame", EDGES)
def test_every_reader_reads_a_frame_at_the_edge(
    reader: str, frame: pd.DataFrame, tmp_path: Path
) -> None:
    rows_read(frame, reader, tmp_path)


@pytest.mark.parametrize(
    ("reader", "type_"),
    [
        (reader, type_)
        for reader in READERS
        for type_ in SIMPLE_TYPES
        if (reader, type_) != ("pandas", pa.time64("ns"))  # which pandas can't hold
    ],
)
def test_every_reader_reads_every_type_of_arrow(
    reader: str, type_: pa.DataType, tmp_path: Path
) -> None:
    table = pa.table({"c": pa.array(values_of(type_), type_)})
    assert rows_read(table, reader, tmp_path) == 3


@EACH_READER
def test_every_reader_reads_a_table_without_columns(reader: str, tmp_path: Path) -> None:
    assert rows_read(pa.table({}), reader, tmp_path) == 0
