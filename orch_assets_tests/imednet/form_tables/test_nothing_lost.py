"""Whatever record data holds: columns, companions and rest together give it back."""

import json

from hypothesis import example, given
from hypothesis import strategies as st

from orch_assets.imednet.form_tables import build_form_tables
from orch_assets_tests.imednet.form_tables.studies import (
    forms,
    given_back,
    members,
    record,
    records,
    sent,
    variable,
    variables,
)

TYPES = ("NUMBER", "INTEGER", "DATE", "DATETIME", "TEXT", "CHECKBOX", "RADIO", "SLIDER", None)
NAMES = ("AGE", "age", "Größe", "weight", "dateCreated", "record_id", "", "AGE__misfit")

texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(
        ["", " ", "5", "05", "5.0", " 7 ", "1e3", "-0", "+1", ".5", "null", "true", "[]", '"a"']
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
        whole = {key: sent(raw) for key, raw in members(text or "{}").items()}
        assert given_back(table, number) == whole


@given(st.sampled_from(TYPES), st.lists(values, min_size=1, max_size=5))
def test_the_misfits_are_counted_and_the_column_is_null_there(type_, raws):
    rows = (record(f'{{"AGE": {raw}}}') for raw in raws)
    table = build_form_tables(records(*rows), variables(variable("AGE", type_)), forms((1, "F1")))[
        "F1"
    ]
    counted = int(table.schema.metadata[b"misfits"])
    if "AGE__misfit" not in table.column_names:
        assert counted == 0
        assert table["AGE"].null_count == sum(raw == "null" for raw in raws)
        return
    misfits = table["AGE__misfit"]
    assert counted == len(misfits) - misfits.null_count
    assert table.schema.field("AGE").metadata[b"misfits"] == str(counted).encode()
    for value, misfit, raw in zip(table["AGE"].to_pylist(), misfits.to_pylist(), raws, strict=True):
        if misfit is not None:
            assert (value, misfit) == (None, raw)
        elif value is None:  # no answer
            assert raw == "null" or not json.loads(raw).strip()
