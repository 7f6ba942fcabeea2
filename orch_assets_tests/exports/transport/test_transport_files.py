"""Whole files: rows, headers, refusals, and what verification finds."""

from pathlib import Path

import pyarrow as pa
import pytest

from orch_assets.errors import ExportError, ExportMismatchError
from orch_assets.exports.export_format import format_named
from orch_assets.exports.export_notes import Notes
from orch_assets.exports.transport import transport_writer
from orch_assets_tests.exports.transport.transport_cases import (
    exported,
    exported_table,
    listed,
)

_FORMATS = pytest.mark.parametrize("format_name", ["xpt", "xpt8"])


def _write(table: pa.Table, format_name: str, path: Path) -> None:
    with Notes(path.parent) as notes:
        format_named(format_name).prepare([exported_table(table)], {}).write(path, notes)


def _verify(table: pa.Table, format_name: str, path: Path) -> None:
    format_named(format_name).prepare([exported_table(table)], {}).verify(path)


@_FORMATS
def test_zero_rows(format_name: str) -> None:
    """The columns are there, without a row."""
    schema = pa.schema([("N", pa.int64()), ("C", pa.string()), ("D", pa.date32())])
    read = exported(schema.empty_table(), format_name)
    assert {name: list(cells) for name, cells in read.cells.items()} == {"N": [], "C": [], "D": []}


@_FORMATS
@pytest.mark.parametrize("rows", [1, 9, 10, 11, 100])
def test_one_narrow_column(format_name: str, rows: int) -> None:
    """All rows are there, whatever part of the last record they fill; nulls at the end too."""
    numbers = pa.table({"N": pa.array([1.0, *[None] * (rows - 1)], pa.float64())})
    assert listed(exported(numbers, format_name), "N") == [1.0, *[None] * (rows - 1)]
    texts = pa.table({"C": [*[""] * (rows - 1), "x"]})
    assert listed(exported(texts, format_name), "C") == [*[""] * (rows - 1), "x"]


@_FORMATS
def test_blank_rows_at_the_end_beside_a_number(format_name: str) -> None:
    """A missing number isn't blank."""
    table = pa.table({"C": ["a", None, None], "N": pa.nulls(3, pa.int64())})
    assert listed(exported(table, format_name), "C") == ["a", "", ""]


def test_blank_rows_at_the_end_of_texts() -> None:
    """Version 8 has the number of rows; version 5 would lose them, and refuses."""
    table = pa.table({"C": ["a", None, None]})
    assert listed(exported(table, "xpt8"), "C") == ["a", "", ""]
    with pytest.raises(ExportError, match="Its last row is blank"):
        exported(table, "xpt")


@_FORMATS
def test_a_refused_table_leaves_no_file(format_name: str, tmp_path: Path) -> None:
    """Neither a table without columns nor one whose rows fail leaves a file."""
    with pytest.raises(ExportError, match="It has no columns"):
        _write(pa.table({}), format_name, tmp_path / "AE.xpt")
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_fails_leaves_no_file(tmp_path: Path) -> None:
    """What was written until then is removed."""
    with pytest.raises(ExportError):
        _write(pa.table({"C": [None, ""]}), "xpt", tmp_path / "AE.xpt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.arrow"]


@_FORMATS
def test_the_same_table_gives_the_same_bytes(
    format_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The header has the time of the table's publication, in each of its four places."""
    table = pa.table({"C": ["a"], "N": [1]})
    read = exported(table, format_name)
    assert read.content.count(b"09MAR26:08:07:06") == 4
    assert read.about.creation_time.isoformat() == "2026-03-09T08:07:06"
    assert read.content == exported(table, format_name).content
    monkeypatch.setattr(transport_writer, "_BATCH_ROWS", 1)
    assert read.content == exported(table, format_name).content


@_FORMATS
def test_many_batches(format_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches end anywhere, also after blank rows."""
    monkeypatch.setattr(transport_writer, "_BATCH_ROWS", 2)
    cells = ["a", "", "", "", "bcd", "", "e"]
    table = pa.concat_tables([pa.table({"C": cells[:3]}), pa.table({"C": cells[3:]})])
    assert listed(exported(table, format_name), "C") == cells


@_FORMATS
@pytest.mark.parametrize(
    ("column", "changed"),
    [
        ("C", ["a", "x", ""]),
        ("C", ["a", "b", "c"]),
        ("N", [1, 2, 4]),
        ("N", [1, None, 3]),
    ],
)
def test_verification_finds_a_changed_cell(
    format_name: str, column: str, changed: list[object], tmp_path: Path
) -> None:
    """The error says which column and row."""
    cells = {"C": pa.array(["a", "b", None]), "N": pa.array([1, 2, 3])}
    path = tmp_path / "AE.xpt"
    _write(pa.table(cells), format_name, path)
    other = pa.table({**cells, column: pa.array(changed, cells[column].type)})
    with pytest.raises(ExportMismatchError) as caught:
        _verify(other, format_name, path)
    row = 2 if changed[1] != cells[column][1].as_py() else 3
    assert (caught.value.column, caught.value.row) == (column, row)


@_FORMATS
@pytest.mark.parametrize(
    "other",
    [
        pa.table({"N": [1, 2, 3]}),
        pa.table({"N": pa.array([1], pa.int64())}),
        pa.table({"M": [1, 2]}),
        pa.table({"N": pa.array([1, 2], pa.date32())}),
        pa.table({"N": ["1", "2"]}),
        pa.table(
            {"N": [1, 2]}, schema=pa.schema([pa.field("N", pa.int64(), metadata={"label": "n"})])
        ),
        pa.table({"N": [1, 2]}).replace_schema_metadata({"form_name": "Another"}),
        pa.table({"N": [1, 2], "M": [1, 2]}),
    ],
    ids=["rows", "fewer", "name", "format", "type", "label", "form", "column"],
)
def test_verification_finds_another_shape(
    format_name: str, other: pa.Table, tmp_path: Path
) -> None:
    """Rows, names, types, formats and labels are compared."""
    path = tmp_path / "AE.xpt"
    _write(pa.table({"N": [1, 2]}), format_name, path)
    with pytest.raises(ExportMismatchError):
        _verify(other, format_name, path)


@_FORMATS
@pytest.mark.parametrize("lost", [1, 80, 10_000])
def test_verification_finds_a_file_that_was_cut(
    format_name: str, lost: int, tmp_path: Path
) -> None:
    """A file without its end is no file."""
    table = pa.table({"N": list(range(20))})
    path = tmp_path / "AE.xpt"
    _write(table, format_name, path)
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(ExportMismatchError):
        _verify(table, format_name, path)


def test_the_reader_is_named() -> None:
    """The manifest says which library proved the file."""
    assert format_named("xpt").reader.startswith("pyreadstat 1.")
