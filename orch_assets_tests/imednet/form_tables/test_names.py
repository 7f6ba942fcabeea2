"""Names of columns and tables: plain, unique whatever the case, and what they came from is told."""

import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets.imednet.form_tables import build_form_tables
from orch_assets.imednet.form_tables.column_names import Names, raw_name, safe_name
from orch_assets_tests.imednet.form_tables.studies import (
    forms,
    record,
    records,
    variable,
    variables,
)

# Letters, digits and underscores, no digit first, at most 32: the rules of SAS, the strictest.
SAS = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")

names = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60),
    st.sampled_from(
        [
            "AGE",
            "age",
            "Age",
            "AGE_RAW",
            "age_raw",
            "AGE_RAW_RAW",
            "AGE_2",
            "record_id",
            "Record_ID",
            "a b",
        ]
    ),
    st.sampled_from(
        ["record_data_extra", "DATA_UNVNUM", "a-b", "A_B", "ß", "SS", "体重", "1", "_1"]
    ),
    st.text("aA_ ", min_size=20, max_size=40),
)
types = st.sampled_from(["NUMBER", "TEXT", "DATE"])


@given(names)
def test_a_name_is_plain(name):
    assert SAS.fullmatch(safe_name(name))
    assert SAS.fullmatch(raw_name(safe_name(name)))


@given(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,23}", fullmatch=True))
def test_a_plain_name_stays(name):
    assert safe_name(name) == name
    assert Names().give(name) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Größe (cm)", "Gro_e_cm"),
        ("Pain Level", "Pain_Level"),
        ("1st dose", "_1st_dose"),
        ("体重", "_"),
        ("__x-", "x"),
        ("How would you rate your health?", "How_would_you_rate_your_"),
    ],
)
def test_a_name_keeps_what_can_be_kept(text, name):
    assert safe_name(text) == name


@given(st.lists(names, max_size=40))
def test_names_and_their_companions_are_unique_whatever_the_case(texts):
    book = Names(["record_id", "RECORD_DATA_EXTRA"])
    given_names = [book.give(text) for text in texts]
    everything = [*given_names, *map(raw_name, given_names), "record_id", "record_data_extra"]
    assert len({name.casefold() for name in everything}) == len(everything)
    assert all(map(SAS.fullmatch, everything))


@given(st.lists(st.tuples(names, types), max_size=20, unique_by=lambda each: each[0]))
def test_a_tables_columns_are_unique_and_tell_their_variable(named):
    rows = [variable(name, type_) for name, type_ in named]
    table = build_form_tables(records(), variables(*rows), forms((1, "F1")))["F1"]
    assert len({name.casefold() for name in table.column_names}) == table.num_columns
    assert all(map(SAS.fullmatch, table.column_names))
    told = [
        field.metadata[b"variable_name"].decode()
        for field in table.schema
        if b"variable_id" in (field.metadata or {})
    ]
    assert told == [name for name, _ in named]
    for field in table.schema:
        raw_of = (field.metadata or {}).get(b"raw_of")
        if raw_of is not None:
            typed = table.schema.field(raw_of.decode())
            assert field.name == f"{typed.name}_RAW"
            assert field.metadata[b"variable_name"] == typed.metadata[b"variable_name"]


@given(st.lists(names, min_size=1, max_size=10, unique=True), names)
def test_a_new_variable_leaves_the_columns_of_the_older_ones(texts, added):
    """Wherever in the form it comes: who has the smaller ID chooses first."""
    old = [variable(text, variable_id=number, sequence=5) for number, text in enumerate(texts)]
    new = variable(added, variable_id=100, sequence=0)
    before, after = (
        build_form_tables(records(), variables(*rows), forms((1, "F1")))["F1"].column_names
        for rows in (old, [*old, new])
    )
    assert set(before) <= set(after)


@given(st.lists(names, min_size=1, max_size=10, unique=True))
def test_each_form_has_a_table_of_its_own_whatever_the_case_of_its_key(keys):
    tables = build_form_tables(records(), variables(), forms(*enumerate(keys)))
    assert len({name.casefold() for name in tables}) == len(keys)
    assert [table.schema.metadata[b"form_key"].decode() for table in tables.values()] == keys


def test_the_lifting_of_a_blinding_renames_nothing():
    def open_columns(blinded):
        rows = [variable("A-B", blinded=blinded), variable("A B"), variable("a_b")]
        tables = build_form_tables(records(), variables(*rows), forms((1, "F1")))
        return [name for name in tables["F1"].column_names if name.lower().startswith("a_b")]

    assert open_columns(blinded=True) == ["A_B_2", "a_b_3"]
    assert open_columns(blinded=False) == ["A_B", "A_B_2", "a_b_3"]


@pytest.mark.parametrize(
    ("named", "columns"),
    [
        (["AESTDAT", "AESTDAT_RAW"], ["AESTDAT", "AESTDAT_RAW", "AESTDAT_RAW_2"]),
        (["AESTDAT", "aestdat_raw"], ["AESTDAT", "AESTDAT_RAW", "aestdat_raw_2"]),
        (["AESTDAT_RAW", "AESTDAT"], ["AESTDAT_RAW", "AESTDAT_2", "AESTDAT_2_RAW"]),
        (["aestdat_Raw", "AESTDAT"], ["aestdat_Raw", "AESTDAT_2", "AESTDAT_2_RAW"]),
        (["TERM", "TERM_RAW"], ["TERM", "TERM_RAW_2"]),
    ],
)
def test_a_variable_called_like_a_raw_column_is_told_apart(named, columns):
    """The older variable has its name and the RAW name that belongs to it, even if it is text."""
    types = {"AESTDAT": "DATE"}
    rows = [variable(name, types.get(name, "TEXT")) for name in named]
    row = record({name: f"answer to {name}" for name in named})
    table = build_form_tables(records(row), variables(*rows), forms((1, "F1")))["F1"]
    ours = [field for field in table.schema if field.name in columns]
    assert [field.name for field in ours] == columns
    for field in ours:
        if pa.types.is_string(field.type):
            of = field.metadata[b"variable_name"].decode()
            assert table[field.name].to_pylist() == [f"answer to {of}"]
