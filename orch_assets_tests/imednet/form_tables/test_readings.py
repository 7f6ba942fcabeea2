"""What can be read as a declared type, its value then, and its text as entered."""

import json
from datetime import date, datetime

import pyarrow as pa
import pytest

from orch_assets.imednet.form_tables import build_form_tables
from orch_assets_tests.imednet.form_tables.studies import (
    entered,
    forms,
    record,
    records,
    variable,
    variables,
)

clock = datetime.fromisoformat
FITS = "as it is"
SPELLED = "in another spelling"


def cell(variable_type, raw):
    """Return a value in its column, its RAW column and the extra one; no RAW column is None."""
    table = build_form_tables(
        records(record(f'{{"A":{raw}}}')), variables(variable("A", variable_type)), forms((1, "F1"))
    )["F1"]
    row = table.to_pylist()[0]
    return row["A"], row.get("A_RAW"), row["record_data_extra"]


@pytest.mark.parametrize(
    ("variable_type", "raw", "value", "told"),
    [
        ("INTEGER", "5", 5, FITS),
        ("INTEGER", "-9223372036854775808", -(2**63), FITS),
        ("INTEGER", '"5"', 5, SPELLED),
        ("INTEGER", '" 007 "', 7, SPELLED),
        ("INTEGER", "5.0", 5, SPELLED),
        ("INTEGER", '"5.00"', 5, SPELLED),
        ("INTEGER", "1E+3", 1000, SPELLED),
        ("NUMBER", "5", 5.0, FITS),
        ("NUMBER", "36.7", 36.7, FITS),
        ("NUMBER", "0.1000000000000000", 0.1, SPELLED),
        ("NUMBER", "5.0", 5.0, SPELLED),
        ("NUMBER", "1.10", 1.1, SPELLED),
        ("NUMBER", '"36.7"', 36.7, SPELLED),
        ("NUMBER", '"+.5"', 0.5, SPELLED),
        ("NUMBER", '"5."', 5.0, SPELLED),
        ("NUMBER", "1e5", 100000.0, SPELLED),
        ("NUMBER", "9007199254740992", 2.0**53, FITS),
        ("NUMBER", "100000000000000000000", 1e20, SPELLED),
        ("DATE", '"2025-06-05"', date(2025, 6, 5), FITS),
        ("DATE", '"0001-01-01"', date(1, 1, 1), FITS),
        ("DATE", '"2025-06-05 00:00:00"', date(2025, 6, 5), SPELLED),
        ("DATE", '"2025-06-05T00:00:00.000Z"', date(2025, 6, 5), SPELLED),
        ("DATE", '"05-Jun-2025"', date(2025, 6, 5), SPELLED),
        ("DATE", '"5JUN2025"', date(2025, 6, 5), SPELLED),
        ("DATETIME", '"2025-06-05 21:12:08"', clock("2025-06-05 21:12:08"), FITS),
        ("DATETIME", '"0999-06-05 21:12:08"', clock("0999-06-05 21:12:08"), FITS),
        ("DATETIME", '"2025-06-05 21:12:08.5"', clock("2025-06-05 21:12:08.500000"), SPELLED),
        ("DATETIME", '"2025-06-05T21:12"', clock("2025-06-05 21:12:00"), SPELLED),
        ("DATETIME", '"2025-06-05T21:12:08Z"', clock("2025-06-05 21:12:08"), SPELLED),
        ("DATETIME", '"2025-06-05T21:12:08+02:00"', clock("2025-06-05 21:12:08"), SPELLED),
        ("TEXT", '" 5 "', " 5 ", FITS),
        ("TEXT", '""', "", FITS),
        ("TEXT", '"ä\\u0041"', "äA", FITS),
        ("TEXT", "1.10", "1.10", SPELLED),
        ("RADIO", "true", "true", SPELLED),
        ("TEXTAREA", '[1, "a"]', '[1, "a"]', SPELLED),
        ("TIME", '"14:30"', "14:30", FITS),
        ("no type that we know", '"a"', "a", FITS),
        ("CHECKBOX", "true", "true", FITS),
        ("CHECKBOX", '["Black", "White"]', '["Black", "White"]', FITS),
        ("CHECKBOX", '"Yes"', "Yes", FITS),
        ("CHECKBOX", '"true"', "true", SPELLED),
        ("CHECKBOX", '"1"', "1", SPELLED),
        ("CHECKBOX", '"1E400"', "1E400", SPELLED),
        ("CHECKBOX", '"01"', "01", FITS),
        ("FILE", '{"fileSize": 1.0}', '{"fileSize": 1.0}', FITS),
    ],
)
def test_a_value_that_fits_is_typed_and_its_spelling_told_where_it_is_another(
    variable_type, raw, value, told
):
    """RAW tells it. A column of text is itself what was entered."""
    text = entered(raw)
    assert cell(variable_type, raw) == (value, None if value == text else text, None)
    if not isinstance(value, str):
        is_float = isinstance(value, float)
        printed = f"{value:.16g}" if is_float else json.dumps(value, default=str)
        assert (raw == printed) is (told == FITS)


@pytest.mark.parametrize(
    ("variable_type", "raw"),
    [
        ("INTEGER", "5.5"),
        ("INTEGER", "9223372036854775808"),
        ("INTEGER", '"5 mg"'),
        ("INTEGER", "1" * 5000),
        ("NUMBER", "true"),
        ("NUMBER", "[5]"),
        ("NUMBER", '"<5"'),
        ("NUMBER", '"1,5"'),
        ("NUMBER", '"٣"'),
        ("NUMBER", '"NaN"'),
        ("NUMBER", "1e400"),
        ("NUMBER", "1e-400"),
        ("NUMBER", "9007199254740993"),
        ("NUMBER", f"{2**70}"),
        ("NUMBER", f'"{2**70}"'),
        ("NUMBER", "0.1000000000000000055"),
        ("NUMBER", "1" * 5000),
        ("DATE", '"2025-06"'),
        ("DATE", '"2025"'),
        ("DATE", "2025"),
        ("DATE", '"UNK"'),
        ("DATE", '"2025-02-30"'),
        ("DATE", '"06/05/2025"'),
        ("DATE", '"05-Xyz-2025"'),
        ("DATE", '"2025-06-05 21:12:08"'),
        ("DATETIME", '"2025-06-05"'),
        ("DATETIME", '"2025-06-05 24:00:00"'),
        ("DATETIME", '"2025-06-05 21:12:08.1234567"'),
        ("DATETIME", '{"year": 2025}'),
    ],
)
def test_a_value_that_does_not_fit_is_in_the_companion_as_it_was_sent(variable_type, raw):
    assert cell(variable_type, raw) == (None, entered(raw), None)


@pytest.mark.parametrize("variable_type", ["INTEGER", "NUMBER", "DATE", "DATETIME"])
def test_no_answer_is_null_and_the_rest_tells_which(variable_type):
    """Empty and blank text are in RAW; it is null for null, and for a key that isn't there."""
    assert cell(variable_type, '""') == (None, "", None)
    assert cell(variable_type, '"  "') == (None, "  ", None)
    assert cell(variable_type, "null") == (None, None, None)
    tables = build_form_tables(
        records(record({})), variables(variable("A", variable_type)), forms((1, "F1"))
    )
    (row,) = tables["F1"].to_pylist()
    assert (row["A"], row["A_RAW"], row["record_data_extra"]) == (None, None, None)


def test_null_in_text_is_not_empty_text():
    assert cell("TEXT", "null") == (None, None, None)
    assert cell("TEXT", '""') == ("", None, None)
    assert cell("CHECKBOX", "null") == (None, None, None)
    assert cell("CHECKBOX", '"null"') == ("null", None, None)


@pytest.mark.parametrize(
    ("variable_type", "raw", "value", "text"),
    [
        ("NUMBER", "1.50", 1.5, "1.50"),
        ("NUMBER", "-0", 0.0, "-0"),
        ("NUMBER", "0", 0.0, "0"),
        ("NUMBER", "-0.0", 0.0, "-0.0"),
        ("INTEGER", "-0", 0, "-0"),
        ("INTEGER", "1E+03", 1000, "1E+03"),
        ("INTEGER", "true", None, "true"),
        ("NUMBER", "false", None, "false"),
        ("NUMBER", '[1.50,  "a"]', None, '[1.50,  "a"]'),
        ("DATE", '{"y": 2025}', None, '{"y": 2025}'),
        ("DATE", '" 2025-06-05 "', date(2025, 6, 5), " 2025-06-05 "),
        ("DATETIME", '"2025-06-05T21:12Z"', clock("2025-06-05 21:12:00"), "2025-06-05T21:12Z"),
        ("INTEGER", '"\\u0035"', 5, "5"),
        ("INTEGER", '"5\\n"', 5, "5\n"),
    ],
)
def test_the_raw_column_has_the_text_as_entered_without_quotes(variable_type, raw, value, text):
    """Digits as they were sent, escapes resolved, JSON text for what is not a scalar."""
    assert cell(variable_type, raw) == (value, text, None)


@pytest.mark.parametrize(
    ("variable_type", "arrow_type"),
    [
        ("Integer", pa.int64()),
        ("decimal", pa.float64()),
        ("DATE", pa.date32()),
        ("Date Time", pa.timestamp("us")),
        ("CHECKBOX", pa.string()),
        (None, pa.string()),
    ],
)
def test_a_column_has_its_variables_type(variable_type, arrow_type):
    rows = variables(variable("A", variable_type))
    table = build_form_tables(records(), rows, forms((1, "F1")))["F1"]
    assert table.schema.field("A").type == arrow_type
