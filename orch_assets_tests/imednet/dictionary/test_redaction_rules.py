"""Which values leave a stored table when their variable is withheld by now."""

import json

import pyarrow as pa
import pytest

from orch_assets.imednet.blinding.redaction_rules import rewrite_of

VARIABLES = pa.table(
    {
        "variable_name": ["TERM", "AGE", "ARM"],
        "form_key": ["AE", "AE", "DM"],
        "form_id": [1, 1, 2],
        "blinded": [True, False, False],
    }
)


def rewritten(pipeline, table, intervals=None):
    rewrite = rewrite_of(pipeline, VARIABLES, intervals)
    parts = [rewrite(table.slice(n, 1)) for n in range(table.num_rows)]
    whole = rewrite(table)
    assert pa.concat_tables(parts).equals(whole)  # row by row, as batch by batch
    return whole.to_pylist()


def test_a_form_table_loses_the_columns_of_the_variable_and_its_keys_in_the_rest():
    schema = pa.schema(
        [
            pa.field("record_id", pa.int64()),
            pa.field("TERM_2", pa.string(), metadata={"variable_name": "TERM"}),
            pa.field("TERM_2_RAW", pa.string(), metadata={"variable_name": "TERM"}),
            pa.field("AGE", pa.string(), metadata={"variable_name": "AGE"}),
            pa.field("record_data_extra", pa.string()),
        ],
        metadata={"form_key": "AE", "form_id": "1"},
    )
    rest = [json.dumps({"TERM": "x", "AGE": "7"}), json.dumps({"TERM": "x"}), None]
    table = pa.table([[1, 2, 3], ["x"] * 3, ["x"] * 3, ["7"] * 3, rest], schema=schema)
    assert rewritten("form_tables", table) == [
        {"record_id": 1, "AGE": "7", "record_data_extra": '{"AGE":"7"}'},
        {"record_id": 2, "AGE": "7", "record_data_extra": None},
        {"record_id": 3, "AGE": "7", "record_data_extra": None},
    ]


@pytest.mark.parametrize("name", ["variable_name", "form_key"])
def test_a_column_whose_variable_or_form_is_not_utf_8_is_not_shown(name):
    """Metadata may be any bytes."""
    facts = {"variable_name": b"AGE", "form_key": b"AE", name: b"\xff"}
    age = pa.field("AGE", pa.string(), metadata={"variable_name": facts["variable_name"]})
    schema = pa.schema([age, ("record_data_extra", pa.string())], {"form_key": facts["form_key"]})
    table = pa.table([["7"], [None]], schema=schema)
    assert rewritten("form_tables", table) == [{"record_data_extra": None}]


def test_changes_of_the_variable_and_reasons_on_its_form_leave_record_changes():
    rows = [
        ("record_data", "TERM", 1, "AE", "why"),
        ("record_data", "AGE", 1, "AE", "why"),
        ("record_data", "ARM", 2, "DM", "why"),
        ("record_status", None, 1, "AE", "why"),
        ("extra", None, 2, "DM", "why"),
    ]
    names = ["attribute", "variable", "form_id", "form_key", "reason_for_change"]
    table = pa.table({name: [row[n] for row in rows] for n, name in enumerate(names)})
    assert [tuple(row.values()) for row in rewritten("record_changes", table)] == [
        ("record_data", "AGE", 1, "AE", None),
        ("record_data", "ARM", 2, "DM", "why"),
        ("record_status", None, 1, "AE", None),
    ]


@pytest.mark.parametrize("pipeline", ["study_summary", "subjects", "my_table"])
def test_of_anything_else_nobody_knows_whose_values_it_holds(pipeline):
    assert rewrite_of(pipeline, VARIABLES, None) is None


def test_visits_need_the_intervals_by_which_their_windows_are_counted():
    assert rewrite_of("visits", VARIABLES, None) is None
    intervals = pa.table({"interval_id": [1], "window_calculation_date": ["TERM"]})
    assert rewrite_of("visits", VARIABLES, intervals) is not None


def test_a_table_without_the_columns_is_refused():
    with pytest.raises(KeyError):
        rewrite_of("record_changes", VARIABLES, None)(pa.table({"n": [1]}))
