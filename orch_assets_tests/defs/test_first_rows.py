"""The first rows of the tables that describe a study, in the events of their changes."""

from types import SimpleNamespace

import pyarrow as pa
import pytest

from orch_assets import SplitTable, study_pipeline
from orch_assets.defs.events import StoredResult
from orch_assets.defs.io.first_rows import first_rows
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.imednet import arrow_schema
from orch_assets.imednet.models import Form, Subject, Variable
from orch_assets.orchestration.pipeline import pipeline_of
from orch_assets.orchestration.steps import StepOutput
from orch_assets.pipelines.forms import forms
from orch_assets.pipelines.subjects import subjects
from orch_assets.pipelines.variables import variables
from orch_assets_tests.scenarios.end_to_end.account import Account
from orch_assets_tests.support.harness import materializations

STUDY = "ONC-301"
DICTIONARY = ("forms", "intervals", "variables")


def lines(pipeline, model, rows):
    """Return the lines for a table of these rows; none if nothing is shown of it."""
    table = pa.Table.from_pylist(rows, schema=arrow_schema(model))
    output = StepOutput(StoredResult(stored=True), handover=SplitTable(table, None))
    shown = first_rows(pipeline_of(pipeline), SplitTable(table, None), output)
    return shown["first_rows"].value.splitlines() if shown else []


def variable(name, *, blinded=False, form="AE"):
    return {"form_key": form, "variable_name": name, "variable_type": "TEXT", "label": "Term",
            "blinded": blinded}  # fmt: skip


def test_ten_rows_are_shown_and_the_others_counted():
    shown = lines(variables, Variable, [variable(f"V{number}") for number in range(12)])
    assert shown[0] == r"| form\_key | variable\_name | variable\_type | label |"
    assert [line.split(" | ")[1] for line in shown[2:12]] == [f"V{n}" for n in range(10)]
    assert shown[12:] == ["", "2 more rows are in the table."]


@pytest.mark.parametrize("blinded", [True, None])
def test_a_variable_that_is_not_open_on_every_form_is_not_shown(blinded):
    rows = [variable("ARM"), variable("ARM", blinded=blinded, form="RAND"), variable("AETERM")]
    shown = "\n".join(lines(variables, Variable, rows))
    assert "AETERM" in shown
    assert "ARM" not in shown
    assert "2 variables are not listed: they are not open on every form." in shown


def test_a_name_is_shown_as_text_and_not_longer_than_40_characters():
    names = ["![x](https://elsewhere/x.png)", "a | b\n<script>", "x" * 41]
    rows = [{"form_key": "F", "form_name": name, "revision": 1, "disabled": True} for name in names]
    cells = [line.split(" | ")[1] for line in lines(forms, Form, rows)[2:]]
    image, table, long = cells
    assert image == r"\!\[x\]\(https\:\/\/elsewhere\/x\.png\)"
    assert table == r"a \| b \<script\>"
    assert long == "x" * 39 + "…"


def test_tables_about_subjects_and_pipelines_of_the_same_name_are_not_shown():
    assert lines(subjects, Subject, [{"subject_key": "001"}]) == []

    @study_pipeline(name="forms")
    def my_forms(study_key, sdk, study_logger):
        """A user's own."""

    assert lines(my_forms, Form, [{"form_key": "F"}]) == []


def test_a_table_that_is_too_large_to_be_held_has_no_first_rows():
    output = StepOutput(StoredResult(stored=True), handover=SplitTable(object(), None))
    assert first_rows(pipeline_of(forms), SimpleNamespace(), output) == {}


def test_first_rows_are_logged_once_for_each_change(tmp_path, monkeypatch, capsys):
    with DemoServer(DemoRegistry(studies=1, subjects=3)) as server:
        account = Account(server, tmp_path, monkeypatch, capsys)
        options = [each for name in DICTIONARY for each in ("--pipeline", name)]

        def run():
            """Return the first rows in the newest events, by table."""
            assert account.command("run", *options).code == 0
            with account.instance() as real:
                events = {name: materializations(real, name)[STUDY][-1] for name in DICTIONARY}
            return {name: event.get("first_rows", "") for name, event in events.items()}

        first, second = run(), run()
        (row, *_) = server.registry.rows("variables", STUDY)
        with server.registry.edit(STUDY) as edit:
            edit.variables.change(row["variableId"], label="Another label")
        third = run()
    assert all(1000 > len(text) > 100 for text in first.values())
    assert set(second.values()) == {""}
    assert "Another label" in third["variables"]
    assert third["intervals"] == third["forms"] == ""
