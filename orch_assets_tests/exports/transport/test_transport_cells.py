"""What becomes of each type's cells, and what is noted."""

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from orch_assets_tests.exports.transport.transport_cases import cell_notes, exported, listed

_FORMATS = pytest.mark.parametrize("format_name", ["xpt", "xpt8"])


def _days(year: int, month: int, day: int) -> int:
    """Return days since 1960, where each year of 400 has the same calendar."""
    cycles = max(0, (year - 2000) // 400)
    ordinal = dt.date(year - cycles * 400, month, day).toordinal()
    return ordinal + cycles * 146_097 - dt.date(1960, 1, 1).toordinal()


def _numbers(
    format_name: str, cells: list[Any], type_: pa.DataType
) -> tuple[list[Any], list[tuple[int | None, str]]]:
    read = exported(
        pa.table({"X": pa.array(cells, type_)}), format_name, disable_datetime_conversion=True
    )
    return listed(read, "X"), sorted((row, kind) for _, row, kind in cell_notes(read))


@_FORMATS
def test_what_is_no_number_is_empty(format_name: str) -> None:
    """NaN and infinities are empty and noted; a null is empty without a note."""
    cells = [math.nan, None, math.inf, -math.inf, 1.0]
    assert _numbers(format_name, cells, pa.float64()) == (
        [None, None, None, None, 1.0],
        [(1, "not_finite"), (3, "not_finite"), (4, "not_finite")],
    )


@_FORMATS
def test_the_range_is_that_of_ibm_doubles(format_name: str) -> None:
    """16^-65 is the smallest number and 16^63 the first that is too large."""
    low, high = 16.0**-65, 16.0**63
    cells = [low, math.nextafter(low, 0), 5e-324, math.nextafter(high, 0), high, -high, 1e300]
    assert _numbers(format_name, cells, pa.float64()) == (
        [low, None, None, math.nextafter(high, 0), None, None, None],
        [(row, "out_of_range") for row in (2, 3, 5, 6, 7)],
    )


@_FORMATS
def test_negative_zero_is_zero(format_name: str) -> None:
    """-0.0 becomes 0.0, and is noted."""
    found, noted = _numbers(format_name, [-0.0, 0.0], pa.float64())
    assert [math.copysign(1, cell) for cell in found] == [1, 1]
    assert noted == [(1, "negative_zero")]


@_FORMATS
@pytest.mark.parametrize(
    ("type_", "exact", "rounded"),
    [
        (pa.int64(), [2**53, 2**53 + 2, -(2**63), 5], [2**53 + 1, 2**63 - 1, -(2**53) - 1]),
        (pa.uint64(), [2**53, 2**63, 0], [2**53 + 1, 2**64 - 1]),
        (pa.int8(), [-128, 127], []),
        (pa.uint8(), [255], []),
    ],
    ids=str,
)
def test_whole_numbers_beyond_2_53_may_be_rounded(
    format_name: str, type_: pa.DataType, exact: list[int], rounded: list[int]
) -> None:
    """Those that a double doesn't hold become the nearest one, and are noted."""
    found, noted = _numbers(format_name, [*exact, *rounded], type_)
    assert found == [*map(float, exact), *map(float, rounded)]
    first = len(exact) + 1
    assert noted == [(row, "rounded") for row in range(first, first + len(rounded))]


@_FORMATS
@pytest.mark.parametrize("type_", [pa.float16(), pa.float32()], ids=str)
def test_short_floats_are_exact(format_name: str, type_: pa.DataType) -> None:
    """float16 and float32 widen without change."""
    cells = np.array([0.1, -2.5, 0.0], type_.to_pandas_dtype())
    assert _numbers(format_name, [*cells, None], type_) == ([*map(float, cells), None], [])


@_FORMATS
def test_decimals_are_numbers(format_name: str) -> None:
    """A decimal is exact if its double says it again with as many decimals."""
    cells = [Decimal("0.10"), Decimal("-1234567890123.45"), Decimal("12345678901234567.89"), None]
    assert _numbers(format_name, cells, pa.decimal128(19, 2)) == (
        [0.1, -1234567890123.45, 12345678901234567.89, None],
        [(3, "rounded")],
    )


@_FORMATS
def test_dates_are_days_of_the_sas_calendar(format_name: str) -> None:
    """Dates before 1582 and after 19900 are empty and noted."""
    days = [_days(1960, 1, 1), _days(1582, 1, 1), _days(19900, 12, 31)]
    given = [*days, days[1] - 1, days[2] + 1]
    cells = pa.array([day - 3653 for day in given], pa.int32()).cast(pa.date32())
    read = exported(pa.table({"D": cells}), format_name, disable_datetime_conversion=True)
    assert listed(read, "D") == [0, -138_061, 6_552_815, None, None]
    assert cell_notes(read) == [("D", 5, "out_of_range"), ("D", 4, "date_before_1582")]


@_FORMATS
def test_dates_and_times_are_such_in_sas(format_name: str) -> None:
    """They have SAS formats, and pyreadstat reads them as dates and times."""
    day, time = dt.date(2026, 2, 28), dt.time(10, 30, 1)
    instant = dt.datetime.combine(day, time)
    table = pa.table(
        {
            "D": pa.array([day, None]),
            "D64": pa.array([day, None], pa.date64()),
            "T": pa.array([instant, None], pa.timestamp("ms")),
            "S": pa.array([instant, None], pa.timestamp("s")),
            "H": pa.array([time, None], pa.time64("ns")),
            "H32": pa.array([time, None], pa.time32("s")),
        }
    )
    read = exported(table, format_name)
    assert {name: list(cells) for name, cells in read.cells.items()} == {
        "D": [day, None],
        "D64": [day, None],
        "T": [instant, None],
        "S": [instant, None],
        "H": [time, None],
        "H32": [time, None],
    }
    assert read.about.original_variable_types == {
        "D": "DATE9",
        "D64": "DATE9",
        "T": "DATETIME20",
        "S": "DATETIME20",
        "H": "TIME8",
        "H32": "TIME8",
    }
    assert read.notes == []


@_FORMATS
def test_types_come_from_the_schema(format_name: str) -> None:
    """A column without a value has the type and format of its column in the table."""
    types = {"D": pa.date32(), "T": pa.timestamp("us"), "N": pa.int64(), "C": pa.string()}
    table = pa.table({name: pa.nulls(2, type_) for name, type_ in types.items()})
    read = exported(table, format_name)
    assert {name: list(cells) for name, cells in read.cells.items()} == {
        "D": [None, None],
        "T": [None, None],
        "N": [None, None],
        "C": ["", ""],
    }
    formats = {"D": "DATE9", "T": "DATETIME20", "N": None, "C": None}
    assert (read.about.original_variable_types, read.notes) == (formats, [])


@_FORMATS
def test_zones_become_utc(format_name: str) -> None:
    """An instant is its time in UTC, and the label says so. The zone's name is lost."""
    instant = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
    field = pa.field("T", pa.timestamp("us", "Europe/Berlin"), metadata={"label": "Taken at"})
    read = exported(pa.table([pa.array([instant], field.type)], pa.schema([field])), format_name)
    assert listed(read, "T") == [dt.datetime(2026, 7, 1, 12)]  # noqa: DTZ001  (as in the file)
    assert (read.about.column_labels, read.notes) == (["Taken at (UTC)"], [("T", None, "type")])


@_FORMATS
def test_utc_is_no_other_zone(format_name: str) -> None:
    read = exported(pa.table({"T": pa.nulls(1, pa.timestamp("us", "UTC"))}), format_name)
    assert (read.about.column_labels, read.notes) == (["T (UTC)"], [])


@_FORMATS
def test_the_order_and_zone_of_categories_are_lost(format_name: str) -> None:
    moments = pa.nulls(2, pa.timestamp("us", "Asia/Tokyo")).dictionary_encode()
    severity = pa.DictionaryArray.from_arrays([1, 0], ["mild", "severe"], ordered=True)
    read = exported(pa.table({"SEV": severity, "AT": moments}), format_name)
    assert list(read.cells["SEV"]) == ["severe", "mild"]
    assert read.notes == [("SEV", None, "type"), ("AT", None, "type")]


@_FORMATS
def test_parts_of_a_microsecond_are_rounded(format_name: str) -> None:
    """Microseconds can be told from the seconds since 1960, nanoseconds can't."""
    second = 1_772_273_401
    nanos = pa.array([second * 10**9 + 999_999_000, second * 10**9 + 1], pa.timestamp("ns"))
    read = exported(pa.table({"T": nanos}), format_name, disable_datetime_conversion=True)
    assert listed(read, "T") == [second + 315_619_200 + 0.999999, float(second + 315_619_200)]
    assert cell_notes(read) == [("T", 2, "rounded")]


@_FORMATS
def test_texts_lose_blanks_at_their_end(format_name: str) -> None:
    """Blanks at the end, and the difference of empty and null, are lost and noted."""
    table = pa.table({"C": [" a ", "", None, "  ", "b\t"], "N": [1, 2, 3, 4, 5]})
    read = exported(table, format_name)
    assert listed(read, "C") == [" a", "", "", "", "b\t"]
    assert sorted(cell_notes(read), key=str) == [
        ("C", 1, "trailing_blanks"),
        ("C", 2, "empty_text"),
        ("C", 4, "trailing_blanks"),
    ]


@pytest.mark.parametrize(("format_name", "longest"), [("xpt", 200), ("xpt8", 32_767)])
def test_long_texts_are_cut_at_a_character(format_name: str, longest: int) -> None:
    """Limits are bytes of UTF-8. No character is cut, and blanks beyond the limit are no excess."""
    table = pa.table(
        {"C": ["a" * longest, "a" * longest + " ", "é" * longest, "a" * longest + "b"]}
    )
    read = exported(table, format_name)
    assert listed(read, "C") == ["a" * longest, "a" * longest, "é" * (longest // 2), "a" * longest]
    assert sorted(cell_notes(read), key=str) == [
        ("C", 2, "trailing_blanks"),
        ("C", 3, "not_ascii"),
        ("C", 3, "too_long"),
        ("C", 4, "too_long"),
    ]
    assert read.about.variable_storage_width == {"C": longest}


@_FORMATS
def test_widths_are_bytes(format_name: str) -> None:
    """A column of text is as wide as the UTF-8 of its longest text, and at least 1."""
    table = pa.table({"C": ["日本", "abc"], "E": ["", None], "N": [1, 2]})
    read = exported(table, format_name)
    assert read.about.variable_storage_width == {"C": 6, "E": 1, "N": 8}
    assert listed(read, "C") == ["日本", "abc"]


@_FORMATS
def test_nul_is_replaced(format_name: str) -> None:
    """Readers would end the text there. Other control characters stay."""
    read = exported(pa.table({"C": ["a\0b", "a\r\n\x1fb"]}), format_name)
    assert listed(read, "C") == ["a?b", "a\r\n\x1fb"]
    assert cell_notes(read) == [("C", 1, "control_character")]


@_FORMATS
def test_other_types_become_text_or_numbers(format_name: str) -> None:
    """Types that SAS hasn't are noted once a column; booleans are 1 and 0."""
    table = pa.table(
        {
            "B": [True, False, None],
            "K": pa.array(["a", None, "b"]).dictionary_encode(),
            "L": [[1, None], None, []],
            "S": [{"at": dt.date(2026, 1, 2)}, None, None],
            "X": [b"\x00\xff", None, b""],
            "U": pa.array([1500, None, 0], pa.duration("ms")),
            "Z": pa.nulls(3),
        }
    )
    read = exported(table, format_name)
    assert {name: list(cells) for name, cells in read.cells.items()} == {
        "B": [1.0, 0.0, None],
        "K": ["a", "", "b"],
        "L": ["[1, null]", "", "[]"],
        "S": ['{"at": "2026-01-02"}', "", ""],
        "X": ["00ff", "", ""],
        "U": [1.5, None, 0.0],
        "Z": ["", "", ""],
    }
    assert read.notes == [
        *[(column, None, "type") for column in "LSXUZ"],
        ("X", 3, "empty_text"),
    ]
    assert read.about.column_labels[5] == "U (seconds)"


@_FORMATS
def test_nested_cells_are_the_json_text_of_the_other_formats(format_name: str) -> None:
    """A cell that JSON can't hold is empty and noted."""
    rows = pa.table({"X": pa.array([[math.nan], None, [1.5, None]], pa.list_(pa.float64()))})
    read = exported(rows, format_name)
    assert listed(read, "X") == ["", "", "[1.5, null]"]
    assert (1, "out_of_range") in [(row, kind) for _, row, kind in cell_notes(read)]
