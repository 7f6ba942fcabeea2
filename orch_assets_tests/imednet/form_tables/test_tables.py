"""What a form's table is made of, whatever the dictionary and the records are."""

import itertools
from datetime import date

import pyarrow as pa
import pytest

from orch_assets.imednet.form_tables import build_form_tables
from orch_assets_tests.imednet.form_tables.studies import (
    forms,
    given_back,
    record,
    records,
    variable,
    variables,
)

KEYS = [
    "study_key",
    "record_id",
    "parent_record_id",
    "subject_id",
    "subject_key",
    "visit_id",
    "interval_id",
    "site_id",
    "record_status",
    "deleted",
    "date_created",
    "date_modified",
]
SYSTEM = ["data_unvnum", "data_date_created", "data_date_modified"]
F1, F2 = (1, "F1"), (2, "F2")


def test_the_columns_are_keys_then_variables_by_sequence_and_id_then_companions_then_the_rest():
    rows = variables(
        variable("LAST", "DATE", sequence=None),
        variable("SECOND", "NUMBER", sequence=2, variable_id=9),
        variable("THIRD", sequence=2, variable_id=10),
        variable("FIRST", "INTEGER", sequence=1),
    )
    table = build_form_tables(records(), rows, forms(F1))["F1"]
    assert table.column_names == [
        *KEYS,
        *SYSTEM,
        *("FIRST", "FIRST_RAW", "SECOND", "SECOND_RAW", "THIRD", "LAST", "LAST_RAW"),
        "record_data_extra",
    ]


def test_a_row_has_the_records_keys_and_its_typed_answers():
    data = {"unvnum": "1", "AESTDAT": "2025-06-05", "AETERM": "Bronchitis", "AESTDY": 3}
    row = record(
        data,
        record_id=7,
        parent_record_id=3,
        subject_id=5,
        subject_key="001-005",
        visit_id=11,
        interval_id=12,
        site_id=13,
        record_status="Record Complete",
        deleted=False,
    )
    dictionary = variables(
        variable("AETERM"), variable("AESTDAT", "DATE"), variable("AESTDY", "INTEGER")
    )
    (found,) = build_form_tables(records(row), dictionary, forms(F1))["F1"].to_pylist()
    assert {name: value for name, value in found.items() if value is not None} == {
        "study_key": "S",
        "record_id": 7,
        "parent_record_id": 3,
        "subject_id": 5,
        "subject_key": "001-005",
        "visit_id": 11,
        "interval_id": 12,
        "site_id": 13,
        "record_status": "Record Complete",
        "deleted": False,
        "data_unvnum": "1",
        "AETERM": "Bronchitis",
        "AESTDAT": date(2025, 6, 5),
        "AESTDAT_RAW": "2025-06-05",
        "AESTDY": 3,
        "AESTDY_RAW": "3",
    }


def test_text_has_a_replacement_for_half_a_surrogate_pair_and_the_rest_what_was_sent():
    sent = (
        r'{"TERM":"felt \ud83d\uDC00\udc00","DAY":"\ud83d",'
        r'"BOX":["\ud83d"],"N":3,"\udc00": "1"}'
    )
    dictionary = variables(
        variable("TERM", variable_id=1),
        variable("DAY", "DATE", variable_id=2),
        variable("BOX", "CHECKBOX", variable_id=3),
        variable("N", "INTEGER", variable_id=4),
    )
    rows = records(record({"TERM": "well"}), record(sent))
    table = build_form_tables(rows, dictionary, forms(F1))["F1"]
    assert table["TERM"].to_pylist() == ["well", "felt \U0001f400\ufffd"]
    assert table["N"].to_pylist() == [None, 3]
    assert table["DAY_RAW"].to_pylist() == [None, "\ufffd"]
    assert table["BOX"].to_pylist() == [None, '["\\ud83d"]']
    extra = '{"TERM":"felt \\ud83d\\uDC00\\udc00","DAY":"\\ud83d","\\udc00":"1"}'
    assert sorted(table["record_data_extra"].to_pylist()[1]) == sorted(extra)
    assert table.schema.field("TERM").metadata[b"replaced_surrogates"] == b"1"
    assert table.schema.field("DAY").metadata[b"replaced_surrogates"] == b"1"
    assert table.schema.metadata[b"replaced_surrogates"] == b"2"


def test_what_no_type_holds_is_a_misfit():
    """A number, or a nesting, that Python has no room for is kept as it was sent."""
    sent = f'{{"N":{"9" * 5000},"X":1e400,"LIST":{"[" * 500}{"]" * 500}}}'
    dictionary = variables(
        variable("N", "INTEGER"), variable("X", "NUMBER"), variable("LIST", "NUMBER")
    )
    table = build_form_tables(records(record(sent)), dictionary, forms(F1))["F1"]
    (row,) = table.to_pylist()
    assert [row["N"], row["X"], row["LIST"]] == [None, None, None]
    assert [row[f"{name}_RAW"] for name in ("N", "X", "LIST")] == [
        "9" * 5000,
        "1e400",
        "[" * 500 + "]" * 500,
    ]


def test_each_field_tells_its_variable():
    dictionary = variables(
        variable(
            "AESTDAT",
            "DATE",
            label="Start date",
            variable_id=70,
            sequence=4,
            deleted=True,
            disabled=None,
        )
    )
    row = record({"AESTDAT": "UNK"})
    table = build_form_tables(records(row, row), dictionary, forms(F1))["F1"]
    assert table.schema.field("AESTDAT").metadata == {
        b"variable_name": b"AESTDAT",
        b"form_key": b"F1",
        b"variable_id": b"70",
        b"variable_type": b"DATE",
        b"label": b"Start date",
        b"sequence": b"4",
        b"deleted": b"true",
        b"misfits": b"2",
    }
    assert table.schema.field("AESTDAT_RAW").metadata == {
        b"raw_of": b"AESTDAT",
        b"variable_name": b"AESTDAT",
        b"label": b"Start date (text as entered)",
    }
    assert table.schema.metadata == {
        b"form_id": b"1",
        b"form_key": b"F1",
        b"form_name": b"Form F1",
        b"misfits": b"2",
    }


def test_deleted_and_disabled_variables_keep_their_columns():
    dictionary = variables(variable("OLD", deleted=True), variable("OFF", disabled=True))
    row = record({"OLD": "a", "OFF": "b"})
    (found,) = build_form_tables(records(row), dictionary, forms(F1))["F1"].to_pylist()
    assert (found["OLD"], found["OFF"]) == ("a", "b")


def test_of_two_variables_of_one_name_the_column_is_of_the_one_in_use():
    dictionary = variables(
        variable("AGE", "TEXT", deleted=True), variable("AGE", "NUMBER"), variable("AGE", "DATE")
    )
    table = build_form_tables(records(record({"AGE": 5})), dictionary, forms(F1))["F1"]
    assert [name for name in table.column_names if "AGE" in name] == ["AGE", "AGE_RAW"]
    assert table["AGE"].to_pylist() == [5.0]


def test_records_are_sorted_by_their_id_whatever_order_they_come_in():
    dictionary = variables(variable("A"))
    rows = [record({"A": f"{number}"}, record_id=number) for number in (3, 1, 2)]
    table = build_form_tables(records(*rows, record(None, record_id=None)), dictionary, forms(F1))
    assert table["F1"]["record_id"].to_pylist() == [1, 2, 3, None]
    assert table["F1"]["A"].to_pylist() == ["1", "2", "3", None]


def test_records_that_repeat_and_children_are_rows_like_any_other():
    visit = {"subject_id": 5, "visit_id": 9}
    rows = [record({"A": "1"}, **visit), *(record({"A": "2"}, parent_record_id=1, **visit),) * 3]
    table = build_form_tables(records(*rows), variables(variable("A")), forms(F1))["F1"]
    assert table["parent_record_id"].to_pylist() == [None, 1, 1, 1]


def test_each_form_has_its_own_records_and_variables():
    dictionary = variables(variable("A"), variable("B"), variable("A", "NUMBER", F2))
    rows = records(record({"A": "x", "B": "y"}), record({"A": 5}, F2), record({"A": "z"}))
    tables = build_form_tables(rows, dictionary, forms(F2, F1))
    assert list(tables) == ["F1", "F2"]  # by ID
    assert tables["F1"].select(["record_id", "A", "B"]).to_pylist() == [
        {"record_id": 1, "A": "x", "B": "y"},
        {"record_id": 3, "A": "z", "B": None},
    ]
    assert tables["F2"]["A"].to_pylist() == [5.0]


@pytest.mark.parametrize("rows", [[], [record({"A": "UNK"})], [record({"A": 1}), record(None)]])
def test_the_schema_follows_from_the_dictionary_alone(rows):
    """But for the counts of misfits."""
    dictionary = variables(variable("A", "NUMBER"), variable("B", "DATE"))
    table = build_form_tables(records(*rows), dictionary, forms(F1))["F1"]
    empty = build_form_tables(records(), dictionary, forms(F1))["F1"]
    assert empty.num_rows == 0
    assert table.num_rows == len(rows)
    assert table.schema.equals(empty.schema)


def test_what_the_api_adds_has_columns_as_it_was_sent():
    data = {"dateCreated": "2018-10-18 06:21:46", "unvnum": "1", "dateModified": None}
    (found,) = build_form_tables(records(record(data)), variables(), forms(F1))["F1"].to_pylist()
    assert [found[name] for name in SYSTEM] == ["1", "2018-10-18 06:21:46", None]
    assert found["record_data_extra"] is None


def test_a_variable_called_like_what_the_api_adds_is_a_variable():
    dictionary = variables(variable("unvnum", "INTEGER"))
    table = build_form_tables(records(record({"unvnum": 1})), dictionary, forms(F1))["F1"]
    assert "data_unvnum" not in table.column_names
    assert table["unvnum"].to_pylist() == [1]


def test_a_key_that_is_no_variable_of_the_form_is_in_the_rest():
    dictionary = variables(variable("A"), variable("ELSEWHERE", form=F2))
    text = '{"ELSEWHERE": 1.10, "A": "x", "none": [1,  2]}'
    (found, _) = build_form_tables(
        records(record(text), record({})), dictionary, forms(F1, F2)
    )["F1"].to_pylist()  # fmt: skip
    assert found["A"] == "x"
    assert found["record_data_extra"] == '{"ELSEWHERE":1.10,"none":[1,  2]}'


def test_a_key_of_another_case_is_the_variable_that_differs_in_nothing_else():
    dictionary = variables(variable("AESER"), variable("AESTDAT", "DATE"))
    rows = records(
        record({"aeser": "Yes", "AEstdat": "UNK"}),
        record({"aeser": "Yes", "AESER": "No"}),
        record({"Aeser": "Yes", "aeser": "No", "aestdat": ""}),
    )
    table = build_form_tables(rows, dictionary, forms(F1))["F1"]
    assert table["AESER"].to_pylist() == ["Yes", "No", "Yes"]
    assert table["AESTDAT_RAW"].to_pylist() == ["UNK", None, ""]
    assert table["record_data_extra"].to_pylist() == [
        None,
        '{"aeser":"Yes"}',
        '{"aeser":"No"}',
    ]


def test_a_key_that_two_variables_differ_from_in_case_is_neither():
    dictionary = variables(variable("PEDESC"), variable("PEDesc"))
    rows = records(record({"PEDESC": "a", "PEDesc": "b", "pedesc": "c"}))
    table = build_form_tables(rows, dictionary, forms(F1))["F1"]
    assert table.select(["PEDESC", "PEDesc_2", "record_data_extra"]).to_pylist() == [
        {"PEDESC": "a", "PEDesc_2": "b", "record_data_extra": '{"pedesc":"c"}'}
    ]


@pytest.mark.parametrize("form", [(1, "F1"), (1, None), (None, "F1"), (1, "")])
def test_a_record_finds_its_form_by_id_or_key(form):
    dictionary = variables(variable("A"), variable("A", "NUMBER", F2))
    tables = build_form_tables(records(record({"A": "x"}, form)), dictionary, forms(F1, F2))
    assert {name: table.num_rows for name, table in tables.items()} == {"F1": 1, "F2": 0}
    assert tables["F1"]["A"].to_pylist() == ["x"]


def test_forms_that_only_variables_or_records_name_have_tables_too():
    dictionary = variables(variable("A", form=(7, "F7")))
    rows = records(
        record({"A": "x"}, (7, "F7")),
        record({"B": "y"}, (8, "F8")),
        record({"C": "z"}, (1, "F7")),  # the ID of one form, the key of another
        record({"D": "w"}, (9, None)),
        record({"E": "v"}, (None, None)),
        record({"F": "u"}, (1, "F10")),
    )
    tables = build_form_tables(rows, dictionary, forms(F1))
    assert {name: table["record_id"].to_pylist() for name, table in tables.items()} == {
        "F1": [],
        "F7": [1],
        "F8": [2],
        "F7_2": [3],
        "form_9": [4],
        "no_form": [5],
        "F10": [6],
    }
    assert given_back(tables["F7_2"], 0) == {"C": "z"}


def test_withheld_variables_are_no_columns_of_the_open_tables():
    dictionary = variables(
        variable("OPEN"),
        variable("ARM", blinded=True),
        variable("arm"),
        variable("KIT", blinded=None),
    )
    table = build_form_tables(records(record({"OPEN": "x"})), dictionary, forms(F1))["F1"]
    assert set(table.column_names) == {*KEYS, *SYSTEM, "OPEN", "record_data_extra"}


def test_the_withheld_tables_have_the_withheld_variables_and_what_nobody_knows():
    dictionary = variables(
        variable("OPEN"), variable("ARM", blinded=True), variable("DOSE", "NUMBER", blinded=None)
    )
    row = record({"ARM": "Active", "DOSE": "high", "unknown": 1})
    companion = records(row).drop_columns(["record_status", "date_created", "date_modified"])
    tables = build_form_tables(companion, dictionary, forms(F1, F2), withheld=True)
    assert list(tables) == ["F1"]  # F2 withholds nothing
    assert tables["F1"].column_names == [
        *[name for name in KEYS if name not in {"record_status", "date_created", "date_modified"}],
        *("ARM", "DOSE", "DOSE_RAW", "record_data_extra"),
    ]
    assert given_back(tables["F1"], 0) == {
        "ARM": "Active",
        "DOSE": "high",
        "unknown": "1",
    }


def test_a_form_with_withheld_variables_and_no_records_has_its_withheld_table():
    dictionary = variables(variable("ARM", blinded=True))
    table = build_form_tables(records(), dictionary, forms(F1), withheld=True)["F1"]
    assert (table.num_rows, table.schema.field("ARM").type) == (0, pa.string())


def test_a_withheld_record_of_a_form_without_variables_has_a_table():
    tables = build_form_tables(
        records(record({"A": 1}, F2)), variables(), forms(F1, F2), withheld=True
    )
    assert {name: given_back(table, 0) for name, table in tables.items()} == {"F2": {"A": "1"}}


def test_a_study_of_nothing_has_no_tables():
    assert build_form_tables(records(), variables(), forms()) == {}


@pytest.mark.parametrize("text", ["[1]", "5", '{"A": 1'])
def test_data_that_is_no_object_is_an_error_that_quotes_nothing(text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - of msgspec, whose text isn't ours
        build_form_tables(records(record(text)), variables(variable("A")), forms(F1))
    assert text not in str(caught.value)


def test_the_same_tables_come_of_any_mixture_of_forms():
    """However the forms' records follow upon each other."""
    dictionary = variables(variable("A"), variable("A", form=F2), variable("A", form=(3, "F3")))
    rows = [
        record({"A": f"{number}"}, form, record_id=number)
        for number, form in enumerate(itertools.islice(itertools.cycle([F1, F2, (3, "F3")]), 12))
    ]
    study = (dictionary, forms(F1, F2, (3, "F3")))
    mixed = build_form_tables(records(*rows), *study)
    apart = build_form_tables(
        records(*sorted(rows, key=lambda row: row["form_id"])), *study
    )  # fmt: skip
    assert all(mixed[name].equals(apart[name], check_metadata=True) for name in mixed)
