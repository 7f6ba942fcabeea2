"""The RAW column of a variable that is not open is withheld as the variable is (planted values)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets.errors import WithheldValueError
from orch_assets.imednet.blinding.rules import BlindingRules
from orch_assets.imednet.blinding.split import splitter
from orch_assets.imednet.form_tables import build_form_tables
from orch_assets_tests.imednet.form_tables.studies import (
    forms,
    record,
    records,
    variable,
    variables,
)

F1 = (1, "F1")
TYPES = ("NUMBER", "INTEGER", "DATE", "DATETIME", "TEXT", "CHECKBOX")
FLAGS = (False, True, None)
# Each holds a secret: read or unreadable, a number, nested, and what text cannot hold.
PLANTED = ('"{}"', '" {} "', "{}", "{}.50", '["{}"]', '{{"x": {}}}', '"UNK {}"', '"{}\\ud83d"')


def both_parts(dictionary, rows):
    shown, hidden = splitter("records", BlindingRules(dictionary))(rows)
    return (
        build_form_tables(shown, dictionary, forms(F1), only_open=True),
        build_form_tables(hidden, dictionary, forms(F1), withheld=True),
    )


def everything(tables):
    """Return all cells, names and metadata of tables as one text."""
    return repr([(table.schema.to_string(truncate_metadata=False), table.to_pylist())
                 for table in tables.values()])  # fmt: skip


@st.composite
def studies(draw):
    """A dictionary with names like RAW columns, and a record with a secret for each variable."""
    names = ["TRTDAT", "TRTDAT_RAW", "trtdat_raw", "DOSE", "DOSE_RAW"]
    rows = [
        variable(name, draw(st.sampled_from(TYPES)), blinded=draw(st.sampled_from(FLAGS)))
        for name in draw(st.permutations(names))
    ]
    keys = [*names, "dose", "trtdat_Raw", "unknown_RAW"]
    secrets = {key: 7_310_000 + number for number, key in enumerate(keys)}
    sent = [
        f"{json.dumps(key)}: {draw(st.sampled_from(PLANTED)).format(secret)}"
        for key, secret in secrets.items()
    ]
    return rows, secrets, "{" + ", ".join(sent) + "}"


@given(studies())
def test_no_value_of_a_withheld_variable_is_in_the_open_tables(study):
    """Not in its RAW column, not in another's, not in the extra one, not in the metadata."""
    rows, secrets, text = study
    opened, withheld = map(everything, both_parts(variables(*rows), records(record(text))))
    closed = {row["variable_name"].casefold() for row in rows if row["blinded"] is not False}
    known = {row["variable_name"].casefold() for row in rows}
    for key, secret in secrets.items():
        is_open = key.casefold() in known - closed
        assert (str(secret) in opened) is is_open
        assert (str(secret) in withheld) is not is_open


@pytest.mark.parametrize("type_", TYPES[:4])
def test_a_withheld_variable_and_its_raw_column_are_in_the_withheld_table_alone(type_):
    dictionary = variables(
        variable("TRTDAT", type_, blinded=True, label="Unblinding date"), variable("AGE", "NUMBER")
    )
    opened, withheld = both_parts(dictionary, records(record({"TRTDAT": "planted", "AGE": 50})))
    assert [name for name in opened["F1"].column_names if "TRT" in name] == []
    assert b"Unblinding" not in opened["F1"].schema.serialize().to_pybytes()
    assert withheld["F1"].column_names[-3:] == ["TRTDAT", "TRTDAT_RAW", "record_data_extra"]
    assert withheld["F1"]["TRTDAT_RAW"].to_pylist() == ["planted"]
    assert opened["F1"]["AGE_RAW"].to_pylist() == ["50"]


def test_records_split_while_a_typed_variable_was_open_are_refused():
    """Its value would otherwise be in the extra column."""
    rows = records(record({"TRTDAT": "2025-06-05"}))
    shown, _ = splitter("records", BlindingRules(variables(variable("TRTDAT", "DATE"))))(rows)
    now = variables(variable("TRTDAT", "DATE", blinded=True))
    with pytest.raises(WithheldValueError) as caught:
        build_form_tables(shown, now, forms(F1), only_open=True)
    assert "2025-06" not in str(caught.value)
