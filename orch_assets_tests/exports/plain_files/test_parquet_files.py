"""Parquet files: each cell is exact or noted, and pandas, Polars, DuckDB and pyarrow agree."""

import tempfile
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from orch_assets.errors import ExportMismatchError
from orch_assets.exports.export_format import format_named
from orch_assets.exports.export_notes import Notes
from orch_assets_tests.exports.exporting import exported, exported_table, tables


def comparable(cell: pa.Scalar) -> str:
    """Return a text that is the same for equal values, and differs for 0.0 and -0.0."""
    type_ = cell.type
    if pa.types.is_time(type_) or pa.types.is_timestamp(type_) or pa.types.is_date64(type_):
        factor = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[getattr(type_, "unit", "ms")]
        count = None if cell.value is None else cell.value * factor
        return repr(count // (86_400 * 10**9) if count and pa.types.is_date64(type_) else count)
    if pa.types.is_date(type_):
        return repr(cell.value)
    return repr(cell.as_py())


@given(rows=tables())
@settings(max_examples=80, deadline=None)
def test_each_cell_is_exact_or_noted(rows: pa.Table) -> None:
    with tempfile.TemporaryDirectory() as folder:
        result = exported("parquet", rows, Path(folder))
        found = pq.read_table(result.path)
    assert found.column_names == rows.column_names
    assert found.num_rows == rows.num_rows
    for name in rows.column_names:
        type_ = rows.schema.field(name).type
        as_text = "type" in result.columns.get(name, ()) and not pa.types.is_timestamp(type_)
        for row, (was, cell) in enumerate(zip(found[name], rows[name], strict=True)):
            if (row, name) in result.cells:
                assert not was.is_valid or "rounded" in result.cells[row, name]
            elif as_text:
                assert was.is_valid == cell.is_valid
            else:
                assert comparable(was) == comparable(cell)


ROWS = pa.table(
    {
        "TEXT": pa.array(["001", None, ""]).dictionary_encode(),
        "WHOLE": pa.array([2**63 - 1, None, -1]),
        "SMALL": pa.array([255, None, 0], pa.uint8()),
        "HALF": pa.array([1.5, None, -2.0], pa.float16()),
        "EXACT": pa.array([Decimal("1.10"), None, Decimal(-2)], pa.decimal128(20, 2)),
        "FLAG": [True, None, False],
        "DAY": pa.array([0, None, 86_400_000]).view(pa.date64()),
        "CLOCK": pa.array([1, None, 2], pa.int32()).view(pa.time32("s")),
        "WHEN": pa.array([1, None, 2]).view(pa.timestamp("s")),
        "ZONED": pa.array([1, None, 2]).view(pa.timestamp("us", "Europe/Berlin")),
        "SPAN": pa.array([1, None, 2]).view(pa.duration("ms")),
        "LIST": [[1], None, []],
        "BYTES": [b"\x00", None, b""],
    }
)


def when(microsecond: int) -> datetime:
    return datetime(1970, 1, 1, microsecond=microsecond, tzinfo=UTC)


EXPECTED: dict[str, list[Any]] = {
    "TEXT": ["001", None, ""],
    "WHOLE": [2**63 - 1, None, -1],
    "SMALL": [255, None, 0],
    "HALF": [1.5, None, -2.0],
    "EXACT": [Decimal("1.10"), None, Decimal("-2.00")],
    "FLAG": [True, None, False],
    "DAY": [date(1970, 1, 1), None, date(1970, 1, 2)],
    "CLOCK": [time(0, 0, 1), None, time(0, 0, 2)],
    "WHEN": [datetime(1970, 1, 1, 0, 0, 1), None, datetime(1970, 1, 1, 0, 0, 2)],  # noqa: DTZ001
    "ZONED": [when(1), None, when(2)],
    "SPAN": ["PT0.001S", None, "PT0.002S"],
    "LIST": ["[1]", None, "[]"],
    "BYTES": [b"\x00", None, b""],
}


def by_pandas(path: Path) -> dict[str, list[Any]]:
    frame = pd.read_parquet(path)
    return {
        name: [None if pd.isna(value) else value for value in cells]
        for name, cells in frame.astype(object).to_dict("list").items()
    }


def by_duckdb(path: Path) -> dict[str, list[Any]]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows = connection.sql("SELECT * FROM read_parquet(?)", params=[str(path)])
        return dict(zip(rows.columns, map(list, zip(*rows.fetchall(), strict=True)), strict=True))


@pytest.mark.parametrize(
    "read",
    [
        lambda path: pq.read_table(path).to_pydict(),
        lambda path: pl.read_parquet(path).to_dict(as_series=False),
        by_duckdb,
    ],
    ids=["pyarrow", "Polars", "DuckDB"],
)
def test_readers_agree(read: Any, tmp_path: Path) -> None:
    assert read(exported("parquet", ROWS, tmp_path).path) == EXPECTED


def test_pandas_agrees_but_for_its_floats(tmp_path: Path) -> None:
    rows = ROWS.drop_columns(["WHOLE"])  # pandas makes floats of whole numbers with nulls
    found = by_pandas(exported("parquet", rows, tmp_path).path)
    assert found == {name: cells for name, cells in EXPECTED.items() if name != "WHOLE"}


def test_what_becomes_text_or_loses_its_zone_is_noted(tmp_path: Path) -> None:
    noted = exported("parquet", ROWS, tmp_path).columns
    assert noted == {"ZONED": {"type"}, "SPAN": {"type"}, "LIST": {"type"}}


def test_labels_are_in_the_metadata_and_notes_for_pandas_are_not(tmp_path: Path) -> None:
    labelled = pa.schema(
        [pa.field("A", pa.int64(), metadata={"label": "Dose"})],
        {"form_name": "Exposure", "pandas": "{}"},
    )
    rows = pa.table({"A": [1]}, schema=labelled)
    found = pq.read_schema(exported("parquet", rows, tmp_path).path)
    assert found.metadata == {b"form_name": b"Exposure"}
    assert found.field("A").metadata == {b"label": b"Dose"}


def test_the_same_version_gives_the_same_bytes(tmp_path: Path) -> None:
    first = exported("parquet", ROWS, tmp_path).path.read_bytes()
    assert exported("parquet", ROWS, tmp_path).path.read_bytes() == first


def test_row_groups_have_the_same_size_however_rows_arrive(tmp_path: Path) -> None:
    rows = pa.table({"A": range(70_000)})
    contents = set()
    for batch_rows in (8_192, 50_000):
        file = format_named("parquet").prepare([exported_table(rows, batch_rows)], {})
        path = tmp_path / f"{batch_rows}.parquet"
        with Notes(tmp_path) as notes:
            file.write(path, notes)
        file.verify(path)
        contents.add(path.read_bytes())
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
    assert (groups, len(contents)) == ([32_768, 32_768, 4_464], 1)


@pytest.mark.parametrize(
    "rows",
    [
        ROWS.slice(0, 0),
        pa.table({"A": pa.nulls(3, pa.date32()), "B": pa.nulls(3, pa.string())}),
        pa.table({"A": ["x", "", None, None]}),
    ],
    ids=["no rows", "all null", "blank last rows"],
)
def test_sparse_tables_keep_their_rows_and_types(rows: pa.Table, tmp_path: Path) -> None:
    found = pq.read_table(exported("parquet", rows, tmp_path).path)
    assert found.num_rows == rows.num_rows
    assert found.select([0]).to_pylist() == rows.select([0]).to_pylist()


@pytest.mark.parametrize(
    "changed",
    [
        ROWS.slice(0, 2),
        pa.concat_tables([ROWS, ROWS.slice(0, 1)]),
        ROWS.set_column(1, "WHOLE", pa.array([2**63 - 1, None, -2])),
        ROWS.set_column(1, "WHOLE", pa.array([2**63 - 1, None, -1]).cast(pa.string())),
        ROWS.set_column(0, "TEXT", pa.array(["001", None, None]).dictionary_encode()),
        ROWS.drop_columns(["BYTES"]),
        ROWS.replace_schema_metadata({"form_name": "Other"}),
    ],
    ids=["a row less", "a row more", "a number", "a type", "an empty text", "a column", "a label"],
)
def test_another_file_is_found(changed: pa.Table, tmp_path: Path) -> None:
    result = exported("parquet", ROWS, tmp_path)
    (tmp_path / "other").mkdir()
    other = exported("parquet", changed, tmp_path / "other").path
    with pytest.raises(ExportMismatchError):
        result.file.verify(other)
