"""Whatever record data holds: RAW columns, columns of text and the extra one give it back."""

import json
import math
from datetime import datetime
from decimal import Decimal

from hypothesis import example, given
from hypothesis import strategies as st

from orch_assets.imednet.form_tables import build_form_tables
from orch_assets_tests.imednet.form_tables.expected import read_text
from orch_assets_tests.imednet.form_tables.studies import (
    entered,
    forms,
    given_back,
    members,
    record,
    records,
    variable,
    variables,
)

TYPED = {"NUMBER", "INTEGER", "DATE", "DATETIME"}
TYPES = ("NUMBER", "INTEGER", "DATE", "DATETIME", "TEXT", "CHECKBOX", "RADIO", "SLIDER", None)
NAMES = ("AGE", "age", "Größe", "weight", "dateCreated", "record_id", "", "AGE_RAW")

texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(
        ["", " ", "-0", "5", "05", "5.0", " 7 ", "1e3", "+1", ".5", "null", "true", "[]", '"a"']
    ),
    st.text(st.sampled_from(["a", "\ud83d", "\ude00"])),  # halves of a surrogate pair, too
    st.dates().map(str),
    st.datetimes().map(str),
    st.datetimes().map(lambda when: when.isoformat() + "Z"),
    st.dates().map(lambda day: f"{day:%d-%b-%Y}"),
    st.from_regex(r"[-+]?[0-9]{0,20}\.?[0-9]{0,20}([eE][-+]?[0-9]{1,3})?", fullmatch=True),
)
numbers = st.one_of(
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
).map(json.dumps)
digits = st.from_regex(r"-?(0|[1-9][0-9]{0,20})\.[0-9]{1,20}([eE][-+]?[0-9]{1,3})?", fullmatch=True)
nested = st.recursive(
    st.one_of(texts.map(json.dumps), numbers, digits, st.sampled_from(["true", "false", "null"])),
    lambda inner: st.lists(inner, max_size=2).map(lambda each: f"[{', '.join(each)}]"),
    max_leaves=4,
)
values = st.one_of(texts.map(json.dumps), numbers, digits, nested)


@st.composite
def data(draw):
    keys = draw(st.lists(st.sampled_from(NAMES), unique=True))
    return "{" + ", ".join(f"{json.dumps(key)}: {draw(values)}" for key in keys) + "}"


@given(
    st.lists(st.sampled_from(TYPES), min_size=len(NAMES), max_size=len(NAMES)),
    st.lists(st.one_of(st.none(), data()), max_size=4),
)
@example(["NUMBER"] * len(NAMES), ['{"AGE": 1, "age": true, "weight": 1.0}'])
@example(["CHECKBOX"] * len(NAMES), ['{"AGE": "1E400", "age": "01", "weight": "[1,]"}'])
@example(["CHECKBOX"] * len(NAMES), ['{"AGE": "1", "age": 1, "weight": [1.10,  {"a": "x"}]}'])
def test_record_data_is_given_back_to_the_letter(types, texts):
    """Numbers and all that is no text to the last digit; text by its characters."""
    rows = [variable(name, type_) for name, type_ in zip(NAMES, types, strict=True)]
    table = build_form_tables(
        records(*(record(text) for text in texts)), variables(*rows), forms((1, "F1"))
    )["F1"]
    assert table.num_rows == len(texts)
    for number, text in enumerate(texts):
        answers = {key: entered(raw) for key, raw in members(text or "{}").items()}
        is_sent = {key for key, answer in answers.items() if answer is not None}
        assert given_back(table, number) == {key: answers[key] for key in is_sent}


def column(type_, raws):
    """Return the column of a variable, its RAW column if there is one, and the misfits told."""
    rows = (record(f'{{"AGE": {raw}}}') for raw in raws)
    table = build_form_tables(records(*rows), variables(variable("AGE", type_)), forms((1, "F1")))[
        "F1"
    ]
    counted = int(table.schema.metadata[b"misfits"])
    if "AGE_RAW" not in table.column_names:
        return table["AGE"].to_pylist(), None, counted
    assert table.schema.field("AGE").metadata[b"misfits"] == str(counted).encode()
    return table["AGE"].to_pylist(), table["AGE_RAW"].to_pylist(), counted


def as_utf8(text):
    """Return a text with U+FFFD for each surrogate that is alone."""
    return text and text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@given(st.sampled_from(TYPES), st.lists(values, min_size=1, max_size=5))
def test_the_misfits_are_counted_and_the_column_is_null_there(type_, raws):
    cells, texts, counted = column(type_, raws)
    if texts is None:
        assert counted == 0
        assert cells.count(None) == raws.count("null")
        return
    misfits = [
        text
        for cell, text in zip(cells, texts, strict=True)
        if cell is None and (text or "").strip()
    ]
    assert counted == len(misfits)


@given(st.sampled_from(TYPES), st.lists(values, min_size=1, max_size=5))
@example("INTEGER", ["-0", "0", '"-0"', "1.50", "true", "[1, 2]", "null", '""'])
@example("INTEGER", ["6.167636901594669e+16"])
@example("DATE", ['"2025-06-05T00:00:00Z"', '"2025-06"', '" 05Jun2025 "', "20250605"])
def test_raw_is_the_text_entered_and_the_column_what_can_be_read_of_it(type_, raws):
    """In every row; the column follows from RAW alone, however the text was sent."""
    cells, texts, counted = column(type_, raws)
    wanted = [as_utf8(entered(raw)) for raw in raws]
    assert (cells if texts is None else texts) == wanted
    assert (texts is None) is (type_ not in TYPED)
    if texts is not None:
        assert column(type_, map(json.dumps, texts)) == (cells, texts, counted)
        for cell, text in zip(cells, wanted, strict=True):
            if cell is not None:
                assert reads_back(cell, text)


def reads_back(cell, text):
    """Return whether a cell is what a text says, by Python's own readers."""
    text = text.strip()
    if isinstance(cell, int | float):
        return Decimal(str(cell)) == Decimal(text) and math.isfinite(cell)
    if isinstance(cell, datetime):
        return datetime.fromisoformat(text.removesuffix("Z")) == cell
    return text[:10] == str(cell) or text.replace("-", "") == f"{cell:%d%b%Y}"


@given(st.sampled_from(sorted(TYPED)), texts)
@example("INTEGER", "10000000000000001.")
@example("INTEGER", "9223372036854775807.0")
@example("INTEGER", "1E999999999")
def test_what_the_rules_read_of_a_text_is_in_the_column(type_, text):
    """By an independent reader of the spellings that the documents name."""
    wanted = read_text(type_, as_utf8(text))
    if wanted is not None:
        assert column(type_, [json.dumps(text)])[0] == [wanted]
