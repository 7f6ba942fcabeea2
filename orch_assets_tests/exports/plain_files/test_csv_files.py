"""CSV files: each cell is exact or noted, read by Python's own csv and by tools that people use."""

import csv
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings

from orch_assets.errors import ExportMismatchError
from orch_assets_tests.exports.exporting import exported, moment_text, tables


def read(path: Path) -> list[list[str]]:
    """Return all lines; null and an empty text are the same, as to most readers."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def is_same(text: str, cell: pa.Scalar) -> bool:
    """Return whether a text stands for a cell that isn't noted."""
    if not cell.is_valid:
        return text == ""
    value = cell.as_py() if not pa.types.is_temporal(cell.type) else None
    if value is None:
        return text == moment_text(cell)
    if isinstance(value, bool):
        return text == str(value).lower()
    if isinstance(value, float):
        return repr(float(text)) == repr(value)
    return text == (
        value if isinstance(value, str) else f"{value:f}" if "." in text else str(value)
    )


@given(rows=tables())
@settings(max_examples=80, deadline=None)
def test_each_cell_is_exact_or_noted(rows: pa.Table) -> None:
    with tempfile.TemporaryDirectory() as folder:
        result = exported("csv", rows, Path(folder))
        header, *found = read(result.path)
    assert header == rows.column_names
    assert len(found) == rows.num_rows
    for column, name in enumerate(rows.column_names):
        for row, cell in enumerate(rows.column(name)):
            text = found[row][column]
            as_text = "type" in result.columns.get(name, ()) and not pa.types.is_timestamp(
                cell.type
            )
            if (row, name) in result.cells:
                kinds = result.cells[row, name]
                assert text == "" or kinds <= {"rounded", "control_character"}
            elif as_text:
                assert (text == "") == (not cell.is_valid)
            else:
                assert is_same(text, cell)


ROWS = pa.table(
    {
        "record_id": [1, 2, 3],
        "ID": ["001", None, ""],
        "TEXT": ['a "b",\r\nc', "ä", "x\n"],
        "DAY": pa.array([0, None, 1], pa.int32()).view(pa.date32()),
        "WHEN": pa.array([0, 1_500_000, None]).view(pa.timestamp("us")),
    }
)


def test_text_is_quoted_and_null_is_nothing(tmp_path: Path) -> None:
    result = exported("csv", ROWS, tmp_path)
    assert result.path.read_bytes().decode() == (
        '"record_id","ID","TEXT","DAY","WHEN"\n'
        '1,"001","a ""b"",\r\nc",1970-01-01,"1970-01-01T00:00:00"\n'
        '2,,"ä",,"1970-01-01T00:00:01.5"\n'
        '3,"","x\n",1970-01-02,\n'
    )
    assert result.cells == {(2, "ID"): {"empty_text"}}


def test_readers_told_that_it_is_text_keep_leading_zeros(tmp_path: Path) -> None:
    path = exported("csv", ROWS, tmp_path).path
    by_pandas = pd.read_csv(path, dtype={"ID": "string"}, keep_default_na=False, na_values=[""])
    by_polars = pl.read_csv(path, schema_overrides={"ID": pl.String})
    by_duckdb = duckdb.sql("SELECT ID FROM read_csv(?)", params=[str(path)]).fetchall()
    assert by_pandas["ID"].fillna("-").tolist() == ["001", "-", "-"]
    assert by_polars["ID"].to_list() == ["001", None, ""]
    assert by_duckdb == [("001",), (None,), (None,)]
    assert by_pandas["TEXT"].tolist() == by_polars["TEXT"].to_list() == ROWS["TEXT"].to_pylist()


@pytest.mark.parametrize(
    ("cells", "noted"),
    [
        (["x", None, None], {(1, "A"): {"empty_text"}, (2, "A"): {"empty_text"}}),
        ([None, ""], {(0, "A"): {"empty_text"}, (1, "A"): {"empty_text"}}),
        ([1, None, None], {}),
        ([], {}),
    ],
)
def test_a_single_column_keeps_its_blank_rows(cells: list[Any], noted: Any, tmp_path: Path) -> None:
    result = exported("csv", pa.table({"A": cells}), tmp_path)
    assert result.cells == noted
    assert len(pd.read_csv(result.path)) == len(cells)


def test_a_zero_character_is_noted_since_pandas_loses_what_follows(tmp_path: Path) -> None:
    result = exported("csv", pa.table({"A": ["x\0y", "z"], "B": [1, 2]}), tmp_path)
    assert result.cells == {(0, "A"): {"control_character"}}
    assert pd.read_csv(result.path)["A"].tolist() == ["x", "z"]


def test_short_floats_have_the_digits_of_doubles(tmp_path: Path) -> None:
    cells = pa.array([0.1, 1.09765625], pa.float32())
    rows = pa.table({"A": cells, "B": cells.cast(pa.float64()).cast(pa.float16())})
    _, *found = read(exported("csv", rows, tmp_path).path)
    assert found == [["0.10000000149011612", "0.0999755859375"], ["1.09765625", "1.09765625"]]


def test_the_first_and_last_nanosecond_are_read_back(tmp_path: Path) -> None:
    clock = pa.array([-(2**63) + 1, 2**63 - 1])
    rows = pa.table(
        {zone or "none": clock.view(pa.timestamp("ns", zone)) for zone in (None, "UTC")}
    )
    _, first, last = read(exported("csv", rows, tmp_path).path)
    assert first == ["1677-09-21T00:12:43.145224193", "1677-09-21T00:12:43.145224193Z"]
    assert last == ["2262-04-11T23:47:16.854775807", "2262-04-11T23:47:16.854775807Z"]


@pytest.mark.parametrize("before", [0, 200])  # DuckDB's error is another one in a later part
def test_a_long_text_is_read_back(before: int, tmp_path: Path) -> None:
    texts = [*["y" * 100_000] * before, "x" * 5_000_000 + "\n", "y"]
    rows = pa.table({"A": texts, "B": range(len(texts))})
    assert exported("csv", rows, tmp_path).cells == {}


CHANGES: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("a text", lambda text: text.replace(b'"001"', b'"002"')),
    ("a line break", lambda text: text.replace(b"\r\n", b"\n")),
    ("an empty text", lambda text: text.replace(b'3,""', b"3,")),
    ("a null", lambda text: text.replace(b"2,,", b'2,"",')),
    ("a date", lambda text: text.replace(b"1970-01-02", b"1970-01-03")),
    ("a fraction", lambda text: text.replace(b"01.5", b"01.25")),
    ("not a date", lambda text: text.replace(b"1970-01-02", b"Rash")),
    ("a row", lambda text: text.replace(b'3,"","x\n",1970-01-02,\n', b"")),
    ("a row more", lambda text: text + b"4,,,,\n"),
    ("a cell less", lambda text: text.replace(b"02,\n", b"02\n")),
    ("a header", lambda text: text.replace(b'"DAY"', b'"DAYS"')),
]


@pytest.mark.parametrize("change", [change for _, change in CHANGES], ids=[n for n, _ in CHANGES])
def test_a_changed_file_is_found(change: Callable[[bytes], bytes], tmp_path: Path) -> None:
    result = exported("csv", ROWS, tmp_path)
    before = result.path.read_bytes()
    result.path.write_bytes(change(before))
    assert result.path.read_bytes() != before
    with pytest.raises(ExportMismatchError) as caught:
        result.file.verify(result.path)
    assert "Rash" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
