"""Partial dates: what a text states, no more, and never a guess."""

import re
from datetime import date, datetime

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orch_assets import partial_dates
from orch_assets.errors import SettingError
from orch_assets.imednet.form_tables.date_patterns import DATE_PATTERNS, DatePatterns

DATES = DatePatterns(DATE_PATTERNS)


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2013", "2013"),
        ("2013-01", "2013-01"),
        ("2013-01-05", "2013-01-05"),
        ("2013-1-5", "2013-01-05"),
        ("2013-01-UN", "2013-01"),
        ("2013-01-unk", "2013-01"),
        ("2013-UN-UN", "2013"),
        ("UN-JAN-2013", "2013-01"),
        ("UN-UNK-2013", "2013"),
        ("UNK-jan-2013", "2013-01"),
        (" 05-JAN-2013 ", "2013-01-05"),
        ("5 September 2013", "2013-09-05"),
        ("05JAN2013", "2013-01-05"),
        ("unjan2013", "2013-01"),
        ("Dec 2013", "2013-12"),
        ("29-FEB-2012", "2012-02-29"),
        ("2013-01-05T10:30", "2013-01-05T10:30"),
        ("2013-01-05 10:30:07.250", "2013-01-05T10:30:07.250"),
        ("2013-01-05t10:30z", "2013-01-05T10:30Z"),
        ("05-Jan-2013 23:59+0230", "2013-01-05T23:59+02:30"),
        ("2013-01-05T10:30-05", "2013-01-05T10:30-05:00"),
        ("UN", ""),
        ("unk", ""),
        ("UN-UNK-UNK", ""),
    ],
)
def test_a_text_is_read_as_far_as_it_goes(text, iso):
    assert DATES.read(text) == iso


@pytest.mark.parametrize(
    "text",
    [
        "01/02/2013",
        "01-02-2013",
        "2013-02-30",
        "29-FEB-2013",
        "2013-13",
        "2013-00",
        "UN-JANU-2013",
        "2013-UN-05",
        "13-JAN-13",
        "0000-01-05",
        "2013-01-05T24:00",
        "2013-01-05T10:60",
        "2013-01-05T10:30+15:00",
        "٢٠١٣",
        "before 2013",
        "2013?",
    ],
)
def test_what_is_impossible_or_could_be_two_dates_is_not_read(text):
    assert DATES.read(text) is None


def test_an_ambiguous_date_is_read_by_a_pattern_that_says_how():
    assert DatePatterns(["DD/MM/YYYY"]).read("01/02/2013") == "2013-02-01"
    assert DatePatterns(["MM/DD/YYYY"]).read("01/02/2013") == "2013-01-02"


def test_a_text_that_two_patterns_read_differently_is_not_read():
    both = DatePatterns(["DD/MM/YYYY", "MM/DD/YYYY"])
    assert both.read("01/02/2013") is None
    assert both.read("02/02/2013") == "2013-02-02"


def test_numbers_without_a_separator_have_all_their_digits():
    packed = DatePatterns(["DDMMYYYY"])
    assert packed.read("01122013") == "2013-12-01"
    assert packed.read("1122013") is None


@pytest.mark.parametrize(
    ("patterns", "problem"),
    [
        ([], "at least one"),
        ("UN-MON-YYYY", "several patterns"),
        ([""], "must be made of"),
        (["YYY-MM"], "must be made of"),
        (["yyyy-mm-dd"], "must be made of"),
        (["YYYY-MM-MON"], "a part twice"),
        (["YYYY-YYYY"], "a part twice"),
        (["YYYY-UN-DD"], "a larger part is missing"),
        (["MM-DD"], "a larger part is missing"),
        (["YYYY-MMThh:mm"], "a larger part is missing"),
        (["YYYY-MM-DDThh"], "a larger part is missing"),
        (["--"], "neither a part"),
        (["hh:mm YYYY-MM-DD"], "must end with its time"),
    ],
)
def test_an_invalid_pattern_is_refused(patterns, problem):
    with pytest.raises(SettingError, match=problem):
        DatePatterns(patterns)


PIECES = st.sampled_from(
    ["UN", "UNK", "JAN", "february", "2013", "2012", "02", "30", "29", "5", "-", "-", " ", "T",
     "10:30", ":07", "Z", "+0200", "/"]
)  # fmt: skip


@settings(max_examples=200)
@given(st.lists(PIECES, max_size=9).map("".join))
@example("2013-02-UN")
@example("UN-JAN-2013")
def test_each_part_that_is_read_is_in_the_text(text):
    iso = DATES.read(text)
    if iso:
        entered = {int(number) for number in re.findall(r"\d+", text)}
        entered |= {1} if "jan" in text.lower() else set()
        entered |= {2} if "feb" in text.lower() else set()
        day = iso.split("T")[0]
        assert {int(part) for part in day.split("-")} <= entered
        assert ("T" in iso) == (":" in text)


@settings(max_examples=50)
@given(st.dates(), st.sampled_from(["%d-%b-%Y", "%Y-%m-%d", "%d %B %Y", "%d%b%Y"]))
def test_every_complete_date_is_read(day, form):
    text = day.strftime(form.replace("%Y", f"{day.year:04}"))
    assert DATES.read(text) == day.isoformat()


def form_table(types):
    """Return a form table of one row; ``types`` has the values by column."""
    fields, values = [], []
    for name, (typed, raw) in types.items():
        metadata = {"label": f"Label of {name}", "variable_name": name.lower(), "misfits": "1"}
        fields.append(pa.field(name, typed.type, metadata=metadata))
        fields.append(pa.field(f"{name}_RAW", pa.string(), metadata={"raw_of": name}))
        values += [typed, pa.array(raw)]
    schema = pa.schema(fields, metadata={"form_key": "AE"})
    return pa.table(values, schema=schema)


def nulls(type_, count=1):
    return pa.nulls(count, type_)


def test_a_column_follows_the_answers_that_it_was_read_from():
    raw = ["UN-JAN-2013", None, " ", "UNK", "01/02/2013", "nonsense", "nonsense"]
    table = form_table(
        {"AESTDAT": (nulls(pa.date32(), 7), raw), "AGE": (nulls(pa.int64(), 7), raw)}
    )
    dated = partial_dates(table)
    assert dated.column_names == ["AESTDAT", "AESTDAT_RAW", "AESTDTC", "AGE", "AGE_RAW"]
    assert dated["AESTDTC"].to_pylist() == ["2013-01", None, None, None, None, None, None]
    assert dated.schema.field("AESTDTC").type == pa.string()
    assert dated.schema.field("AESTDTC").metadata == {
        b"partial_of": b"AESTDAT_RAW",
        b"variable_name": b"aestdat",
        b"label": b"Label of AESTDAT (ISO 8601)",
        b"unread": b"3",
    }
    assert dated.drop_columns(["AESTDTC"]).equals(table, check_metadata=True)


def test_a_label_that_is_not_utf_8_stays():
    """Metadata may be any bytes."""
    date_ = pa.field("XDAT", pa.date32(), metadata={"label": b"Gr\xf6\xdfe"})
    raw = pa.field("XDAT_RAW", pa.string(), metadata={"raw_of": "XDAT"})
    other = pa.field("Y", pa.string(), metadata={"raw_of": b"\xff"})
    table = pa.table([[None], ["2013"], ["y"]], schema=pa.schema([date_, raw, other]))
    assert partial_dates(table).schema.field("XDTC").metadata[b"label"] == (
        b"Gr\xf6\xdfe (ISO 8601)"
    )


def test_midnight_is_left_off_where_the_variable_is_a_date():
    raw = ["2013-01-05T00:00:00Z"]
    table = form_table(
        {
            "ADT": (pa.array([date(2013, 1, 5)]), raw),
            "BDTM": (pa.array([datetime(2013, 1, 5)], pa.timestamp("us")), raw),  # noqa: DTZ001
        }
    )
    dated = partial_dates(table)
    assert dated["ADTC"].to_pylist() == ["2013-01-05"]
    assert dated["BDTMDTC"].to_pylist() == ["2013-01-05T00:00:00Z"]


def test_names_are_unique_and_have_room():
    long = "A" * 32
    table = pa.table({"XDAT": ["2013"], "XDT": ["2014"], "xdtc": ["theirs"], long: ["2015"]})
    dated = partial_dates(table, columns=["XDAT", "XDT", long])
    assert dated.column_names == [
        "XDAT", "XDTC_2", "XDT", "XDTC_3", "xdtc", long, "A" * 29 + "DTC",
    ]  # fmt: skip
    assert dated["XDTC_3"].to_pylist() == ["2014"]


def test_a_table_without_rows_gets_the_same_columns():
    dated = partial_dates(form_table({"AESTDAT": (nulls(pa.date32(), 0), [])}))
    assert dated.column_names == ["AESTDAT", "AESTDAT_RAW", "AESTDTC"]
    assert dated.schema.field("AESTDTC").metadata[b"unread"] == b"0"


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        (["GONE"], "has 'GONE', which isn't in the table"),
        (["AGE"], "has 'AGE', which is neither text nor has a column of text 'AGE_RAW'"),
        ("AGE", "must be a list"),
    ],
)
def test_columns_that_cannot_be_read_are_refused(columns, problem):
    with pytest.raises(SettingError, match=problem):
        partial_dates(pa.table({"AGE": [1]}), columns=columns)
