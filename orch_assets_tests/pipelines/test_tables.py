"""Every shipped pipeline against the rows of the simulator, through the real client."""

import json
import subprocess
import sys
from importlib import import_module

import pytest

from orch_assets import ImednetError, ImednetSDK, pipelines
from orch_assets.defs.discovery import discover_pipelines
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.errors import RegistryRefusedError
from orch_assets.orchestration.pipeline import pipeline_of
from orch_assets_tests.pipelines.rows import SYSTEM_KEYS, expected, run, withheld_variables

STUDY = "ONC-301"
WHOLE = ("sites", "forms", "intervals", "subjects", "users", "variables")
SPLIT = {
    "visits": "visits",
    "codings": "codings",
    "queries": "queries",
    "record_revisions": "recordRevisions",
    "records": "records",
}


def pipeline(name):
    return getattr(import_module(f"orch_assets.pipelines.{name}"), name)


def split(name, sdk, study_key=STUDY):
    named = pipeline_of(pipeline(name)).upstreams
    upstreams = {upstream: getattr(sdk, upstream).table(study_key) for upstream in named}
    return run(pipeline(name), sdk, study_key, **upstreams)


def test_every_endpoint_has_its_pipeline():
    found = {each.name for each in discover_pipelines(pipelines)}
    built = {"dictionary_changes", "form_tables", "record_changes", "study_charts"}
    built |= {"study_summary", "tombstones"}
    assert found == {*WHOLE, *SPLIT, "study", *built}


def whole(name, sdk, study_key=STUDY):
    """Return a table of which nothing is withheld but fields that the API doesn't describe."""
    result = run(pipeline(name), sdk, study_key)
    if name == "users":  # restricted as a whole
        return result
    table, companion = result
    assert companion.num_rows == 0
    return table


@pytest.mark.parametrize("name", WHOLE)
def test_a_table_is_all_of_the_registrys_rows(name, sdk, server):
    table = whole(name, sdk)
    theirs = server.registry.rows(name, STUDY)
    assert theirs
    assert table.to_pylist() == expected(theirs, table.schema)


def test_the_records_and_their_withheld_keys_are_all_of_the_registrys_rows(sdk, server):
    rest, companion = split("records", sdk)
    theirs = server.registry.rows("records", STUDY)
    closed = withheld_variables(server.registry, STUDY)
    variables = {
        (v["formKey"], v["variableName"]) for v in server.registry.rows("variables", STUDY)
    }
    open_rows, withheld = [], {}
    for row in theirs:
        form, data = row["formKey"], row["recordData"]
        hidden = {
            key: value for key, value in data.items()
            if (form, key) in closed or ((form, key) not in variables and key not in SYSTEM_KEYS)
        }  # fmt: skip
        open_rows.append({**row, "recordData": {k: v for k, v in data.items() if k not in hidden}})
        if hidden:
            withheld[row["recordId"]] = hidden
    assert withheld
    assert rest.to_pylist() == expected(open_rows, rest.schema)
    assert {row["record_id"]: json.loads(row["record_data"]) for row in companion.to_pylist()} == (
        withheld
    )


def test_codings_are_on_open_variables_and_the_others_are_in_the_companion(sdk, server):
    registry = DemoRegistry(studies=3, subjects=12)
    _blind(registry, "AETERM")
    with DemoServer(registry) as changed, _sdk(changed) as on_changed:
        rest, companion = split("codings", on_changed)
    theirs = registry.rows("codings", STUDY)
    for table, is_shown in ((rest, True), (companion, False)):
        rows = [row for row in theirs if (row["variable"] != "AETERM") is is_shown]
        assert rows
        assert table.to_pylist() == expected(rows, table.schema)
    assert split("codings", sdk)[1].num_rows == 0


def test_all_queries_are_there_and_their_texts_where_the_variable_is_open(sdk, server):
    rest, companion = split("queries", sdk)
    theirs = server.registry.rows("queries", STUDY)
    closed = {name for _, name in withheld_variables(server.registry, STUDY)}
    hidden = [row for row in theirs if row.get("variable") in {*closed, None}]
    assert 0 < len(hidden) < len(theirs)
    assert companion.to_pylist() == expected(hidden, companion.schema)
    shown = [
        row if row not in hidden else {
            **row,
            "description": None,
            "queryComments": [{**one, "comment": None} for one in row["queryComments"]],
        }
        for row in theirs
    ]  # fmt: skip
    assert rest.to_pylist() == expected(shown, rest.schema)


def test_all_revisions_are_there_and_reasons_where_the_form_is_open(sdk, server):
    rest, companion = split("record_revisions", sdk)
    theirs = server.registry.rows("recordRevisions", STUDY)
    closed = {form for form, _ in withheld_variables(server.registry, STUDY)}
    hidden = [row for row in theirs if row["formKey"] in closed and row["reasonForChange"]]
    assert 0 < len(hidden) < len([row for row in theirs if row["reasonForChange"]])
    assert companion.to_pylist() == expected(hidden, companion.schema)
    shown = [{**row, "reasonForChange": None} if row in hidden else row for row in theirs]
    assert rest.to_pylist() == expected(shown, rest.schema)


def test_visits_lose_their_dates_where_the_question_is_withheld(sdk, server):
    rest, companion = split("visits", sdk)
    theirs = server.registry.rows("visits", STUDY)
    assert rest.to_pylist() == expected(theirs, rest.schema)
    assert companion.num_rows == 0
    registry = DemoRegistry(studies=3, subjects=12)
    _blind(registry, "VSDAT")
    with DemoServer(registry) as changed, _sdk(changed) as on_changed:
        rest, companion = split("visits", on_changed)
    theirs = registry.rows("visits", STUDY)
    dated = [row for row in theirs if row.get("visitDate")]
    assert companion.to_pylist() == expected(dated, companion.schema)
    dates = dict.fromkeys(("visitDate", "startDate", "endDate", "dueDate"))
    shown = [{**row, **dates} if row in dated else row for row in theirs]
    assert rest.to_pylist() == expected(shown, rest.schema)


def test_visits_lose_their_windows_where_the_day_they_are_counted_from_is_withheld():
    registry = DemoRegistry(studies=3, subjects=12)
    _blind(registry, "RANDDT")
    with DemoServer(registry) as changed, _sdk(changed) as on_changed:
        rest, companion = split("visits", on_changed)
    counted = {
        row["intervalId"]
        for row in registry.rows("intervals", STUDY)
        if row["windowCalculationDate"] == "RANDDT"
    }
    theirs = registry.rows("visits", STUDY)
    hidden = [row for row in theirs if row["intervalId"] in counted]
    assert hidden
    assert companion.to_pylist() == expected(hidden, companion.schema)
    window = dict.fromkeys(("startDate", "endDate", "dueDate"))
    shown = [{**row, **window} if row in hidden else row for row in theirs]
    assert rest.to_pylist() == expected(shown, rest.schema)


def _blind(registry, name):
    """Blind the variable of that name on the first form that has it."""
    first = next(v for v in registry.rows("variables", STUDY) if v["variableName"] == name)
    registry.update_row("variables", STUDY, first["variableId"], blinded=True)


def _sdk(server):
    return ImednetSDK(server.api_key, server.security_key, server.base_url)


@pytest.mark.parametrize("name", ["subjects", "variables", "visits", "records", "record_revisions"])
def test_deleted_rows_are_kept_and_marked(name, sdk, server):
    table = split(name, sdk)[0] if name in SPLIT else whole(name, sdk)
    marks = [row["deleted"] for row in server.registry.rows(SPLIT.get(name, name), STUDY)]
    assert table["deleted"].to_pylist() == marks
    assert set(marks) == {True, False}


@pytest.mark.parametrize("name", ["subjects", *SPLIT])
def test_a_study_without_subjects_has_tables_of_the_same_schema(name, sdk):
    for empty, full in zip(_tables(name, sdk, "EMPTY-1"), _tables(name, sdk, STUDY), strict=True):
        assert empty.num_rows == 0
        assert empty.schema.equals(full.schema)


def _tables(name, sdk, study_key):
    return split(name, sdk, study_key) if name in SPLIT else [whole(name, sdk, study_key)]


def test_users_run_on_request_alone_and_are_restricted():
    users = pipeline_of(pipeline("users"))
    assert (users.on_request, users.io_manager_key) == (True, "restricted_io_manager")
    others = [each for each in discover_pipelines(pipelines) if each.name != "users"]
    assert {(each.on_request, each.io_manager_key) for each in others} == {(False, "io_manager")}


# --- the table study ---


@pytest.mark.parametrize("study_key", [STUDY, "EMPTY-1"])
def test_a_study_is_its_own_entry_of_the_registry(study_key, sdk, server):
    table, companion = run(pipeline("study"), sdk, study_key)
    assert companion.num_rows == 0
    entries = [row for row in server.registry.rows("studies") if row["studyKey"] == study_key]
    assert table.to_pylist() == expected(entries, table.schema)
    assert table.num_rows == 1


@pytest.mark.parametrize("study_key", ["GONE-1", "onc-301"])
def test_a_study_that_the_registry_does_not_list_is_an_error_that_names_it(study_key, sdk):
    with pytest.raises(ImednetError, match=f"does not list study {study_key}: check") as caught:
        run(pipeline("study"), sdk, study_key)
    assert not isinstance(caught.value, RegistryRefusedError)


# --- the modules ---


def test_the_modules_import_none_of_the_slow_packages():
    code = """if True:
        import importlib, pkgutil, sys
        from orch_assets import pipelines
        for module in pkgutil.iter_modules(pipelines.__path__):
            importlib.import_module("orch_assets.pipelines." + module.name)
        print(*{name.partition(".")[0] for name in sys.modules})
    """
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "orch_assets" in loaded
    assert not loaded & {"pandas", "pyarrow", "httpx", "dagster", "boto3", "numpy"}
