"""Each cell is in the file as it is in the table, or noted: read by the tests' own reader."""

import json
import math
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings

from orch_assets_tests.exports.exporting import Exported, exported, moment_text, tables


def read(path: Path) -> tuple[dict[str, Any], list[list[Any]]]:
    """Return the metadata and the rows of a document, or of lines."""
    texts = path.read_text(encoding="utf-8")
    if path.suffix == ".ndjson":
        first, *rows = texts.removesuffix("\n").split("\n")
        return json.loads(first), [json.loads(row) for row in rows]
    document = json.loads(texts)
    return document, document.pop("rows")


def expected(cell: pa.Scalar, data_type: str) -> Any:
    """Return what JSON should have for a cell, which isn't noted."""
    if data_type in {"date", "time", "datetime"}:
        return moment_text(cell)
    value = cell.as_py()
    if data_type == "decimal" and value is not None:
        return f"{Decimal(value):f}"
    return value


def assert_exact_or_noted(rows: pa.Table, result: Exported) -> None:
    """Require that each cell is exact, and that each other one is noted."""
    metadata, found = read(result.path)
    assert metadata["records"] == rows.num_rows == len(found)
    for column, facts in enumerate(metadata["columns"]):
        name = facts["name"]
        for row, cell in enumerate(rows.column(column)):
            value = found[row][column]
            if (row, name) in result.cells:
                assert value is None or "rounded" in result.cells[row, name]
                continue
            if facts["dataType"] == "string" and name in result.columns:
                assert (value is None) == (not cell.is_valid)
                continue
            should = expected(cell, facts["dataType"])
            assert (type(value), value) == (type(should), should)
            if isinstance(value, float):
                assert math.copysign(1, value) == math.copysign(1, should)


@pytest.mark.parametrize("format_name", ["dataset-json", "dataset-ndjson"])
@given(rows=tables())
@settings(max_examples=60, deadline=None)
def test_each_cell_is_exact_or_noted(format_name: str, rows: pa.Table) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert_exact_or_noted(rows, exported(format_name, rows, Path(folder)))


def rows_of(cells: pa.Array, tmp_path: Path) -> list[Any]:
    """Return one column's cells in a document."""
    return [
        row[0] for row in read(exported("dataset-json", pa.table({"X": cells}), tmp_path).path)[1]
    ]


def test_whole_numbers_beyond_2_53_make_their_column_decimal_text(tmp_path: Path) -> None:
    rows = pa.table({"A": [2**53, None, -(2**53)], "B": [1, 2**53 + 1, None]})
    result = exported("dataset-json", rows, tmp_path)
    metadata, found = read(result.path)
    facts = [(each["dataType"], each.get("targetDataType")) for each in metadata["columns"]]
    assert facts == [("integer", None), ("decimal", "decimal")]
    assert found == [[2**53, "1"], [None, str(2**53 + 1)], [-(2**53), None]]
    assert result.columns == {"B": {"type"}}


def test_a_second_pass_for_long_numbers_repeats_no_note(tmp_path: Path) -> None:
    rows = pa.table({"A": [2**60, 1], "B": [math.nan, 1.0]})
    format_notes = exported("dataset-json", rows, tmp_path)
    assert format_notes.cells == {(0, "B"): {"not_finite"}}


def test_times_have_seconds_and_only_the_digits_that_they_need(tmp_path: Path) -> None:
    clock = pa.array([0, 1, 1_500_000, 86_399_999_999]).view(pa.timestamp("us"))
    assert rows_of(clock, tmp_path) == [
        "1970-01-01T00:00:00",
        "1970-01-01T00:00:00.000001",
        "1970-01-01T00:00:01.5",
        "1970-01-01T23:59:59.999999",
    ]


def test_a_time_with_a_zone_is_in_utc(tmp_path: Path) -> None:
    cells = pa.array([0]).view(pa.timestamp("us", "Europe/Berlin"))
    result = exported("dataset-json", pa.table({"X": cells}), tmp_path)
    assert read(result.path)[1] == [["1970-01-01T00:00:00Z"]]
    assert result.columns == {"X": {"type"}}


def test_decimals_have_no_exponent(tmp_path: Path) -> None:
    cells = pa.array([Decimal("1E-10"), Decimal(0)], pa.decimal128(38, 10))
    assert rows_of(cells, tmp_path) == ["0.0000000001", "0.0000000000"]


def test_durations_bytes_and_lists_are_text_and_noted(tmp_path: Path) -> None:
    rows = pa.table(
        {
            "D": pa.array([-1_500_000, None]).view(pa.duration("us")),
            "B": [b"\x00a", b""],
            "L": [[1.5, None], None],
        }
    )
    result = exported("dataset-json", rows, tmp_path)
    assert read(result.path)[1] == [["-PT1.5S", "AGE=", "[1.5, null]"], [None, "", None]]
    assert result.columns == {"D": {"type"}, "B": {"type"}, "L": {"type"}}


def test_an_empty_text_differs_from_null(tmp_path: Path) -> None:
    assert rows_of(pa.array(["", None, " "]), tmp_path) == ["", None, " "]
