"""A study of 100 forms and 2,000 variables, cell by cell against an independent computation."""

import json

import pyarrow as pa
import pytest

from orch_assets import ImednetSDK
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.imednet.blinding.rules import BlindingRules
from orch_assets.imednet.blinding.split import splitter
from orch_assets.imednet.form_tables import build_form_tables
from orch_assets_tests.imednet.form_tables.expected import arrow_name, expected_tables
from orch_assets_tests.imednet.form_tables.studies import members

STUDY = "WIDE-100"
KEYS = {
    "study_key": "studyKey",
    "record_id": "recordId",
    "parent_record_id": "parentRecordId",
    "subject_id": "subjectId",
    "subject_key": "subjectKey",
    "visit_id": "visitId",
    "interval_id": "intervalId",
    "site_id": "siteId",
    "deleted": "deleted",
}
SYSTEM = {
    "unvnum": "data_unvnum",
    "dateCreated": "data_date_created",
    "dateModified": "data_date_modified",
}


@pytest.fixture(scope="module")
def server():
    registry = DemoRegistry(studies=0)
    registry.add_study(STUDY, subjects=6, forms=100, variables=2000)
    with DemoServer(registry) as running:
        yield running


@pytest.fixture(scope="module")
def inputs(server):
    """The dictionary and the forms, and the records' open part and their withheld one."""
    with ImednetSDK(server.api_key, server.security_key, server.base_url) as sdk:
        variables, forms = sdk.variables.table(STUDY), sdk.forms.table(STUDY)
        return (
            variables,
            forms,
            splitter("records", BlindingRules(variables))(sdk.records.table(STUDY)),
        )


@pytest.fixture(scope="module")
def parts(server, inputs):
    """The open tables and the withheld ones, each with what they should be."""
    variables, forms, split = inputs
    return [
        (
            build_form_tables(records, variables, forms, withheld=withheld),
            expected_tables(server, STUDY, withheld=withheld),
        )
        for records, withheld in zip(split, (False, True), strict=True)
    ]


@pytest.fixture(params=[0, 1], ids=["open", "withheld"])
def both(request, parts):
    return parts[request.param]


def columns_of(table):
    """Return the variables' columns, by the variable's name, in their order."""
    return {
        field.metadata[b"variable_name"].decode(): field
        for field in table.schema
        if b"variable_id" in (field.metadata or {})
    }


def pairs(both):
    tables, expected = both
    by_key = {table.schema.metadata[b"form_key"].decode(): table for table in tables.values()}
    assert by_key.keys() == expected.keys()
    return [(by_key[key], *expected[key]) for key in expected]


def test_there_are_100_forms_and_2000_variables(parts, server):
    withheld = sum(
        row.get("blinded") is not False for row in server.registry.rows("variables", STUDY)
    )
    (opened, _), (closed, _) = parts
    columns = [sum(len(columns_of(table)) for table in part.values()) for part in (opened, closed)]
    assert len(opened) == 100
    assert sum(columns) == 2000
    assert columns[1] >= withheld > 100  # what differs from one in case alone is withheld with it


def test_each_variable_has_its_column_in_its_place(both):
    for table, variables, _ in pairs(both):
        assert list(columns_of(table)) == [row["variableName"] for row in variables]


def test_the_columns_have_the_declared_types_and_tell_what_the_dictionary_says(both):
    for table, variables, _ in pairs(both):
        for row, field in zip(variables, columns_of(table).values(), strict=True):
            assert str(field.type) == arrow_name(row["variableType"])
            told = {key.decode(): text.decode() for key, text in field.metadata.items()}
            told.pop("misfits", None)
            assert told == {
                "variable_name": row["variableName"],
                "form_key": row["formKey"],
                "variable_id": str(row["variableId"]),
                "variable_type": row["variableType"],
                "label": row["label"],
                "sequence": str(row["sequence"]),
                "deleted": str(row["deleted"]).lower(),
                "disabled": str(row["disabled"]).lower(),
            }


def test_every_cell_is_what_was_sent(both):
    cells = 0
    for table, _, rows in pairs(both):
        columns = {key: field.name for key, field in columns_of(table).items()}
        columns |= {key: name for key, name in SYSTEM.items() if name in table.column_names}
        found = table.to_pylist()
        assert len(found) == len(rows)
        for ours, theirs in zip(found, rows, strict=True):
            assert {name: ours[name] for name in KEYS} == {
                name: theirs.record.get(key) for name, key in KEYS.items()
            }
            typed = {key: (type(value), value) for key, value in theirs.cells.items()}
            assert {key: (type(ours[name]), ours[name]) for key, name in columns.items()} == typed
            cells += len(typed)
    assert cells > 500


def test_every_misfit_is_in_its_companion_and_counted(both):
    """RAW has the text as entered of every row, so of the misfits too."""
    total = 0
    for table, _, rows in pairs(both):
        found = table.to_pylist()
        for key, field in columns_of(table).items():
            texts = [row.raws[key] for row in rows]
            count = sum(key in row.misfits for row in rows)
            total += count
            if f"{field.name}_RAW" not in table.column_names:
                assert arrow_name(field.metadata[b"variable_type"].decode()) == "string"
                assert count == 0
                continue
            assert [row[f"{field.name}_RAW"] for row in found] == texts
            assert field.metadata[b"misfits"] == str(count).encode()
        assert int(table.schema.metadata[b"misfits"]) == sum(len(row.misfits) for row in rows)
    assert total > 20


def test_the_rest_is_what_the_cells_do_not_say(parts, inputs):
    """Nothing by the records' own dictionary; by one that lacks variables, the answers to them."""
    variables, forms, split = inputs
    names = variables["variable_name"].to_pylist()
    gone = {name.casefold() for name in names[::7]}
    fewer = variables.filter(pa.array(name.casefold() not in gone for name in names))
    kept = 0
    for both, records, withheld in zip(parts, split, (False, True), strict=True):
        for table, _, _ in pairs(both):
            assert table["record_data_extra"].null_count == table.num_rows
        for table in build_form_tables(records, fewer, forms, withheld=withheld).values():
            _, rows = both[1][table.schema.metadata[b"form_key"].decode()]
            for text, row in zip(table["record_data_extra"].to_pylist(), rows, strict=True):
                extra = members(text or "{}")
                assert extra == {
                    key: raw for key, raw in row.sent.items() if key.casefold() in gone
                }
                assert (text is None) is not bool(extra)
                kept += len(extra)
    assert kept > 50


def test_no_withheld_value_is_in_an_open_table(parts, server):
    """The arm, which only a withheld variable holds."""
    (opened, _), (closed, _) = parts
    said = [
        json.dumps([table.to_pylist() for table in part.values()], default=str)
        for part in (opened, closed)
    ]
    assert "Placebo" in said[1]
    assert "Placebo" not in said[0]
