"""Excel workbooks: exact, or noted."""

import re
import zipfile
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from python_calamine import CalamineWorkbook

from orch_assets.errors import ExportError, ExportMismatchError
from orch_assets.exports.export_format import format_named
from orch_assets.exports.export_notes import Notes
from orch_assets_tests.exports.exporting import Exported, exported, exported_table, tables


def shown(done: Exported) -> list[list[object]]:
    """Return the rows of the form's sheet, without its header."""
    with CalamineWorkbook.from_path(done.path) as book:
        return list(book.get_sheet_by_name("AE").to_python())[1:]


def one_column(cells: pa.Array, folder: Path) -> tuple[list[object], Exported]:
    """Export a column beside a key, which keeps rows without a cell."""
    keys = pa.array(range(len(cells)), pa.int64())
    done = exported("xlsx", pa.table({"record_id": keys, "x": cells}), folder)
    return [row[1] if len(row) > 1 else "" for row in shown(done)], done


def test_text_is_text_whatever_it_looks_like(tmp_path):
    texts = [
        "=1+1",
        "@A1",
        "+1",
        "001",
        "1e5",
        "TRUE",
        "http://a.b",
        "a\nb",
        " x ",
        "é😀",
        "\t",
        "\r\n",
    ]
    found, done = one_column(pa.array(texts), tmp_path)
    assert (found, done.cells) == (texts, {})


def test_no_cell_is_a_formula_or_a_link(tmp_path):
    texts = pa.table({"x": ["=1+1", "http://a.b", "mailto:a@b", "{=1}"]})
    done = exported("xlsx", texts, tmp_path)
    with zipfile.ZipFile(done.path) as file:
        sheet = file.read("xl/worksheets/sheet2.xml").decode()
        assert "<f>" not in sheet
        assert "hyperlink" not in sheet
        assert not [name for name in file.namelist() if "rels" in name and "sheet2" in name]


def test_control_characters_come_back_as_they_were(tmp_path):
    texts = ["a\x01b", "_x000D_", "_x0041_", "\x0b", "a\x7f", "x\0y"]
    found, done = one_column(pa.array(texts), tmp_path)
    assert (found, done.cells) == (texts, {})


def test_characters_that_xml_lacks_are_replaced_and_noted(tmp_path):
    found, done = one_column(pa.array(["a\ufffeb", "\uffff", "ok"]), tmp_path)
    assert found == ["a\ufffdb", "\ufffd", "ok"]
    assert done.cells == {(0, "x"): {"control_character"}, (1, "x"): {"control_character"}}


def test_escapes_that_share_a_character_are_replaced_and_noted(tmp_path):
    """XlsxWriter escapes the first one only, so that the second would be read as a letter."""
    texts = ["_x0041_x0042_", "_x005F_x000D_", "_x0041_"]
    found, done = one_column(pa.array(texts), tmp_path)
    assert found == ["_x0041\ufffdx0042_", "_x005F\ufffdx000D_", "_x0041_"]
    assert done.cells == {(0, "x"): {"control_character"}, (1, "x"): {"control_character"}}


def test_an_empty_text_is_noted_beside_a_null(tmp_path):
    found, done = one_column(pa.array(["", None, "x"]), tmp_path)
    assert found == ["", "", "x"]
    assert done.cells == {(0, "x"): {"empty_text"}}


def test_a_long_text_is_cut_between_characters_as_excel_counts_them(tmp_path):
    whole, smile = "a" * 32_767, "😀"
    found, done = one_column(pa.array([whole, whole + "b", "a" * 32_766 + smile]), tmp_path)
    assert found == [whole, whole, "a" * 32_766]
    assert done.cells == {(1, "x"): {"too_long"}, (2, "x"): {"too_long"}}


def test_whole_numbers_that_excel_would_round_are_text(tmp_path):
    numbers = [0, -5, 10**15 - 1, 10**15, 2**63 - 1, None]
    found, done = one_column(pa.array(numbers, pa.int64()), tmp_path)
    assert found == [0.0, -5.0, 1e15 - 1, "1000000000000000", str(2**63 - 1), ""]
    assert done.cells == {(3, "x"): {"type"}, (4, "x"): {"type"}}


def test_numbers_with_more_than_16_digits_are_rounded_and_noted(tmp_path):
    numbers = [1.5, 0.1 + 0.2, -0.0, 1.7976931348623157e308, float("nan"), float("inf"), 5e-324]
    found, done = one_column(pa.array(numbers), tmp_path)
    assert found == [1.5, 0.3, 0.0, "", "", "", 5e-324]
    assert done.cells == {
        (1, "x"): {"rounded"},
        (2, "x"): {"negative_zero"},
        (3, "x"): {"out_of_range"},
        (4, "x"): {"not_finite"},
        (5, "x"): {"not_finite"},
    }


def test_decimals_with_more_digits_than_excel_shows_are_text(tmp_path):
    numbers = [Decimal("1.50"), Decimal("-0.07"), Decimal("123456789012345678.12"), Decimal(0)]
    found, done = one_column(pa.array(numbers, pa.decimal128(20, 2)), tmp_path)
    assert found == [1.5, -0.07, "123456789012345678.12", 0.0]
    assert done.cells == {(2, "x"): {"type"}}


def test_a_decimal_with_more_digits_than_python_computes_with_is_text(tmp_path):
    numbers = [Decimal(10**36 + 1), Decimal(10**36)]
    found, done = one_column(pa.array(numbers, pa.decimal128(38, 0)), tmp_path)
    assert (found, done.cells) == ([str(10**36 + 1), 1e36], {(0, "x"): {"type"}})


def test_dates_are_dates_and_those_before_march_1900_text(tmp_path):
    days = [
        date(2024, 2, 29),
        date(1900, 3, 1),
        date(1900, 2, 28),
        date(1, 1, 1),
        date(9999, 12, 31),
    ]
    found, done = one_column(pa.array(days), tmp_path)
    assert found == [days[0], days[1], "1900-02-28", "0001-01-01", days[4]]
    assert done.cells == {(2, "x"): {"type"}, (3, "x"): {"type"}}


def test_moments_are_exact_to_the_millisecond_and_rounding_is_noted(tmp_path):
    moments = [
        datetime(2024, 5, 1),  # noqa: DTZ001 - a timestamp without a zone
        datetime(2024, 5, 1, 23, 59, 59, 999_000),  # noqa: DTZ001
        datetime(2024, 5, 1, 0, 0, 0, 1),  # noqa: DTZ001
        datetime(1850, 1, 1, 12),  # noqa: DTZ001
    ]
    found, done = one_column(pa.array(moments, pa.timestamp("us")), tmp_path)
    midnight = found[0]
    assert (midnight, type(midnight)) in {(date(2024, 5, 1), date), (moments[0], datetime)}
    assert found[1] == moments[1]
    assert found[3] == "1850-01-01 12:00:00"
    assert done.cells == {(2, "x"): {"rounded"}, (3, "x"): {"type"}}


def test_nanoseconds_count_as_lost_even_if_microseconds_do_not(tmp_path):
    cells = pa.array([10**9, 10**9 + 1, 10**9 + 10**6], pa.int64()).view(pa.timestamp("ns"))
    _, done = one_column(cells, tmp_path)
    assert {cell for cell, kinds in done.cells.items() if "rounded" in kinds} == {(1, "x")}


def test_times_of_the_day_are_times(tmp_path):
    times = [time(0, 0), time(10, 30), time(23, 59, 59, 999_000)]
    found, done = one_column(pa.array(times, pa.time64("us")), tmp_path)
    assert (found, done.cells) == (times, {})


def test_a_zone_becomes_utc_and_the_contents_say_so(tmp_path):
    type_ = pa.timestamp("ms", "Europe/Berlin")
    cells = pa.array([1_700_000_000_000], pa.int64()).view(type_)
    schema = pa.schema([pa.field("x", type_, metadata={"label": "Seen"})])
    done = exported("xlsx", pa.table([cells], schema=schema), tmp_path)
    assert shown(done) == [[datetime(2023, 11, 14, 22, 13, 20)]]  # noqa: DTZ001
    with CalamineWorkbook.from_path(done.path) as book:
        contents = book.get_sheet_by_name("Contents").to_python()
    assert contents[-1][:3] == ["AE", "x", "Seen (UTC)"]
    assert done.columns == {"x": {"type"}}


def test_booleans_are_booleans(tmp_path):
    found, done = one_column(pa.array([True, None, False]), tmp_path)
    assert (found, done.cells) == ([True, "", False], {})


@pytest.mark.parametrize(
    "rows",
    [
        pa.table({"record_id": pa.array([], pa.int64()), "x": pa.array([], pa.date32())}),
        pa.table({"x": pa.nulls(3, pa.string())}),
        pa.table({"x": pa.nulls(3, pa.date32()), "y": pa.nulls(3, pa.float64())}),
        pa.table({"x": ["a", None, None], "y": pa.nulls(3, pa.int64())}),
        pa.table({"x": [1]}),
        pa.table({"": ["a"], "y": [1]}),
    ],
    ids=["no rows", "one null column", "null columns", "blank last rows", "one column", "no name"],
)
def test_sparse_tables_are_verified(tmp_path, rows):
    assert exported("xlsx", rows, tmp_path).cells == {}


def test_the_header_is_frozen_and_filtered_and_numbers_have_formats(tmp_path):
    rows = pa.table({"AESTDAT": [date(2024, 1, 1)], "AETERM": ["Headache"]})
    done = exported("xlsx", rows, tmp_path)
    with zipfile.ZipFile(done.path) as file:
        sheet = file.read("xl/worksheets/sheet2.xml").decode()
        styles = file.read("xl/styles.xml").decode()
    assert re.search(r'<pane ySplit="1"[^>]* state="frozen"', sheet)
    assert '<autoFilter ref="A1:B2"/>' in sheet
    assert 'formatCode="yyyy\\-mm\\-dd"' in styles or 'formatCode="yyyy-mm-dd"' in styles


def test_the_contents_have_labels_counts_and_provenance(tmp_path):
    schema = pa.schema(
        [pa.field("AETERM", pa.string(), metadata={"label": "Reported term"})],
        metadata={"form_name": "Adverse events"},
    )
    done = exported("xlsx", pa.table([["a", "b"]], schema=schema), tmp_path)
    with CalamineWorkbook.from_path(done.path) as book:
        rows = book.get_sheet_by_name("Contents").to_python()
    assert rows[0][0] == "Study ONC-301"
    assert rows[4] == [
        *("AE", "AE", "Adverse events", 2.0, 1.0, "ab" * 32, "2026-11-29T05:00:00.123456+00:00")
    ]
    assert rows[7][:4] == ["AE", "AETERM", "Reported term", "string"]


def test_names_and_labels_that_a_cell_lacks_are_noted(tmp_path):
    fields = [
        pa.field("\ufffeX", pa.int64(), metadata={"label": "plain"}),
        pa.field("_x0041_x0042_", pa.int64(), metadata={"label": "a" * 32_768}),
        pa.field("y", pa.int64(), metadata={"label": "\x01 _x0041_ \r\n é😀 =1+1"}),
    ]
    schema = pa.schema(fields, {"form_name": "Adverse\uffffevents"})
    shared, held = fields[1].name, "_x0041\ufffdx0042_"
    table = replace(exported_table(schema.empty_table()), name=shared, study_key=shared)
    file = format_named("xlsx").prepare([table], {})
    with Notes(tmp_path) as notes:
        file.write(tmp_path / "x.xlsx", notes)
        file.verify(tmp_path / "x.xlsx")
        noted = [(note["column"], note["kind"]) for note in notes.table().to_pylist()]
    of_table = [(None, "name"), (None, "label")]
    assert noted == [*of_table, (shared, "label"), (fields[0].name, "name"), (shared, "name")]
    with CalamineWorkbook.from_path(tmp_path / "x.xlsx") as book:
        assert book.get_sheet_by_name(shared).to_python() == [["\ufffdX", held, "y"]]
        rows = book.get_sheet_by_name("Contents").to_python()
    assert (rows[0][0], rows[4][1]) == (f"Study {held}", held)
    assert rows[4][2] == "Adverse\ufffdevents"
    assert [row[2] for row in rows[7:]] == ["plain", "a" * 32_767, "\x01 _x0041_ \r\n é😀 =1+1"]


@pytest.mark.parametrize(
    "other",
    [
        {"version": "cd" * 32},
        {"published_at": "2026-11-29T05:00:00.123457+00:00"},
        {"study_key": "ONC-302"},
        {"schema": pa.schema([("x", pa.int32())])},
        {"schema": pa.schema([pa.field("x", pa.int64(), metadata={"label": "Other"})])},
        {"schema": pa.schema([("x", pa.int64())], {"form_name": "Other"})},
    ],
    ids=lambda other: "-".join(str(each) for each in other),
)
def test_other_contents_are_found(tmp_path, other):
    """The sheets of the forms are as they should be."""
    table = exported_table(pa.table({"x": [1]}))
    done = exported("xlsx", pa.table({"x": [1]}), tmp_path)
    file = format_named("xlsx").prepare([replace(table, **other)], {})
    with pytest.raises(ExportMismatchError) as raised:
        file.verify(done.path)
    assert raised.value.form == "Contents"


def named_tables(*names):
    rows = pa.table({"x": [1]})
    table = exported_table(rows)
    return [type(table)(**{**vars(table), "name": name}) for name in names]


def test_sheet_names_are_short_and_unique_without_case_and_noted(tmp_path):
    long = "A" * 32
    found = named_tables("AE", "ae_2", "History", "contents", long, long[:31] + "B")
    file = format_named("xlsx").prepare(found, {})
    with Notes(tmp_path) as notes:
        file.write(tmp_path / "x.xlsx", notes)
        file.verify(tmp_path / "x.xlsx")
        noted = [(note["form"], note["kind"]) for note in notes.table().to_pylist()]
    with CalamineWorkbook.from_path(tmp_path / "x.xlsx") as book:
        assert book.sheet_names == [
            *("Contents", "AE", "ae_2", "History_2", "contents_2", "A" * 31, "A" * 29 + "_2")
        ]
    assert noted == [(name, "name") for name in ("History", "contents", long, long[:31] + "B")]


def test_sheet_names_have_no_characters_that_excel_refuses(tmp_path):
    found = named_tables("a/b[1]", "'a'", "😀" * 20, "")
    file = format_named("xlsx").prepare(found, {})
    with Notes(tmp_path) as notes:
        file.write(tmp_path / "x.xlsx", notes)
        file.verify(tmp_path / "x.xlsx")
        assert notes.counts == {"name": 4}
    with CalamineWorkbook.from_path(tmp_path / "x.xlsx") as book:
        assert book.sheet_names[1:] == ["a_b_1_", "a", "😀" * 15, "Sheet"]


@pytest.mark.parametrize(("rows", "columns"), [(1_048_576, 1), (1, 16_385)])
def test_more_than_a_sheet_holds_is_refused_before_anything_is_written(rows, columns):
    schema = pa.schema([(f"x{number}", pa.int8()) for number in range(columns)])
    table = exported_table(schema.empty_table())
    large = type(table)(**{**vars(table), "num_rows": rows})
    with pytest.raises(ExportError, match=r"'AE' of study ONC-301 has .* csv or parquet.*--form"):
        format_named("xlsx").prepare([large], {})


def test_the_same_table_gives_the_same_bytes(tmp_path):
    rows = pa.table({"x": ["a", None], "y": [1.5, 2.0]})
    first = exported("xlsx", rows, tmp_path).path.read_bytes()
    assert exported("xlsx", rows, tmp_path).path.read_bytes() == first


@pytest.mark.parametrize("column", ["record_id", "AETERM", "AESTDAT"])
def test_a_file_with_another_cell_is_found(tmp_path, column):
    rows = {"record_id": [1, 2], "AETERM": ["a", "b"], "AESTDAT": [date(2024, 1, 1)] * 2}
    other = {"record_id": [1, 3], "AETERM": ["a", "c"], "AESTDAT": [date(2024, 1, 1), None]}
    done = exported("xlsx", pa.table({**rows, column: other[column]}), tmp_path)
    file = format_named("xlsx").prepare([exported_table(pa.table(rows))], {})
    with pytest.raises(ExportMismatchError) as caught:
        file.verify(done.path)
    assert (caught.value.column, caught.value.row) == (column, 2)


def test_a_file_with_more_rows_is_found(tmp_path):
    done = exported("xlsx", pa.table({"x": [1, 2]}), tmp_path)
    file = format_named("xlsx").prepare([exported_table(pa.table({"x": [1]}))], {})
    with pytest.raises(ExportMismatchError):
        file.verify(done.path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=tables())
def test_any_table_is_exact_or_noted(tmp_path, rows):
    """Each cell that isn't noted is what Python's own types say."""
    done = exported("xlsx", rows, tmp_path)
    found = shown(done)
    for position, field in enumerate(rows.schema):
        plain = pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
        if not (plain or pa.types.is_string(field.type)):
            continue
        for row, cell in enumerate(rows.column(position).to_pylist()):
            if (row, field.name) in done.cells:
                continue
            seen = found[row][position] if row < len(found) else ""
            assert seen == ("" if cell is None else cell)
