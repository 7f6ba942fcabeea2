"""A variable that is blinded after its dictionary was stored: no run shows its values."""

from collections import Counter

import pytest

from orch_assets import ImednetSDK, LocalPipelineStore, pipelines, split_withheld, study_pipeline
from orch_assets.defs.discovery import discover_pipelines
from orch_assets.demo import DemoRegistry, DemoServer, Fault
from orch_assets.pipelines.form_tables import form_tables
from orch_assets.pipelines.forms import forms
from orch_assets.pipelines.intervals import intervals
from orch_assets.pipelines.records import records
from orch_assets.pipelines.variables import variables
from orch_assets.pipelines.visits import visits
from orch_assets.stores import ArtifactKind
from orch_assets_tests.support.harness import (
    execute,
    instance,
    materializations,
    observations,
    resume,
    states,
)
from orch_assets_tests.support.runs import location, small_pages

STUDY, OTHER = "ONC-301", "CARD-202"
TABLES = ["codings", "queries", "record_revisions", "records", "visits"]
MARK = "planted"
ALL = [each.function for each in discover_pipelines(pipelines) if each.name != "users"]


@pytest.fixture
def server():
    """Two studies in which AETERM, still open, is quoted wherever a value can be."""
    registry = DemoRegistry(studies=2, subjects=6)
    for study in (STUDY, OTHER):
        _change(registry, "records", study, _in_record)
        _change(
            registry, "codings", study, lambda row: {**row, "variable": "AETERM", "value": MARK}
        )
        _change(registry, "queries", study, _in_query)
        _change(registry, "recordRevisions", study, _in_revision)
        _change(registry, "visits", study, lambda row: {**row, "visitDateQuestion": "AETERM"})
        for row in registry.rows("variables", study):
            if row["formKey"] == "AE":
                registry.update_row("variables", study, row["variableId"], blinded=False)
    with DemoServer(registry) as running:
        yield running


def _change(registry, endpoint, study, change):
    rows = registry.table(endpoint, study)
    rows._keep([change(row) for row in rows.rows])


def _in_record(row):
    if row["formKey"] != "AE":
        return row
    return {**row, "recordData": {**row["recordData"], "AETERM": MARK}}


def _in_query(row):
    return {**row, "variable": "AETERM", "description": MARK} if row["annotationId"] % 2 else row


def _in_revision(row):
    return {**row, "reasonForChange": MARK} if row["formKey"] == "AE" else row


def blind(registry, study=STUDY, name="AETERM"):
    for row in registry.rows("variables", study):
        if row["variableName"] == name:
            registry.update_row("variables", study, row["variableId"], blinded=True)


def members(store, study=STUDY):
    """Return all form tables as text."""
    tables = store.download_set_tables(f"form_tables/{study}")
    return str({name: table.to_pylist() for name, table in tables.items()})


def shown(folder, name, study=STUDY):
    """Return whether an artifact's current version shows a value of AETERM."""
    store = LocalPipelineStore(folder / "artifacts")
    if name == "visits":
        dates = store.download_table(f"visits/{study}")["visit_date"]
        return len(dates) > dates.null_count
    if name == "form_tables":
        return MARK in members(store, study)
    return MARK in str(store.download_table(f"{name}/{study}").to_pylist())


def test_the_values_are_shown_while_the_variable_is_open(server, tmp_path):
    """The tests below can fail."""
    with instance(STUDY) as real:
        assert execute(location(tmp_path, small_pages(server), *ALL), real, STUDY).is_success
    assert all(shown(tmp_path, name) for name in [*TABLES, "form_tables"])


@pytest.mark.parametrize("select", [[name] for name in TABLES])
def test_a_table_alone_is_split_by_the_registrys_dictionary_not_by_the_stored_one(
    select, server, tmp_path
):
    defs = location(tmp_path, small_pages(server), *ALL)
    with instance(STUDY, OTHER) as real:
        first = ["variables", "intervals", *select]
        assert execute(defs, real, STUDY, OTHER, select=first).is_success
        blind(server.registry)
        assert execute(defs, real, STUDY, OTHER, select=select).is_success
    assert [shown(tmp_path, name) for name in select] == [False]
    assert [shown(tmp_path, name, OTHER) for name in select] == [True]


def test_form_tables_of_records_that_show_what_is_blinded_by_now_fail(server, tmp_path):
    """Where records were split anew, their form tables show nothing of it."""
    defs = location(tmp_path, small_pages(server), variables, forms, records, form_tables)
    with instance(STUDY) as real:
        assert execute(defs, real, STUDY).is_success
        store = LocalPipelineStore(tmp_path / "artifacts")
        before = store.versions(f"form_tables/{STUDY}", kind=ArtifactKind.SET)
        blind(server.registry)
        assert not execute(defs, real, STUDY, select=["form_tables"]).is_success
        assert "WithheldValueError" in observations(real, "form_tables")[STUDY]["error"]
        assert store.versions(f"form_tables/{STUDY}", kind=ArtifactKind.SET) == before
        for name in ("records", "form_tables"):
            assert execute(defs, real, STUDY, select=[name]).is_success
    assert not shown(tmp_path, "form_tables")
    withheld = LocalPipelineStore(tmp_path / "restricted")
    assert MARK in members(withheld)


def test_form_tables_keep_withheld_what_an_older_dictionary_withheld(server, tmp_path):
    blind(server.registry)
    defs = location(tmp_path, small_pages(server), variables, forms, records, form_tables)
    with instance(STUDY) as real:
        assert execute(defs, real, STUDY).is_success
        for row in server.registry.rows("variables", STUDY):
            server.registry.update_row("variables", STUDY, row["variableId"], blinded=False)
        assert execute(defs, real, STUDY, select=["variables", "form_tables"]).is_success
    assert not shown(tmp_path, "form_tables")


def test_a_resumed_run_splits_by_the_dictionary_of_its_own_time(server, tmp_path):
    defs = location(tmp_path, small_pages(server), variables, records)
    with instance(STUDY) as real:
        server.faults.add(Fault("status", status=500, endpoint="records"))
        first = execute(defs, real, STUDY)
        assert (states(real, "variables"), states(real, "records")) == (
            {STUDY: "MATERIALIZED"},
            {STUDY: "FAILED"},
        )
        server.faults.clear()
        blind(server.registry)
        assert resume(defs, real, first).is_success
    assert not shown(tmp_path, "records")


@study_pipeline
def adverse_events(study_key, sdk, study_logger, variables: "pa.Table"):  # noqa: F821
    """A user's own pipeline over the stored dictionary."""
    return split_withheld("records", sdk.records.batches(study_key, form_key="AE"), variables)


@study_pipeline
def adverse_events_table(study_key, sdk, study_logger, variables: "pa.Table"):  # noqa: F821
    """The same of a table in memory."""
    table = sdk.records.table(study_key, form_key="AE")
    return split_withheld("records", table, variables, sdk=sdk, study_key=study_key)


@pytest.mark.parametrize("own", [adverse_events, adverse_events_table])
def test_a_pipeline_of_a_users_own_is_split_by_the_registrys_dictionary(own, server, tmp_path):
    defs = location(tmp_path, small_pages(server), variables, own)
    name = own.__name__
    with instance(STUDY) as real:
        assert execute(defs, real, STUDY).is_success
        assert shown(tmp_path, name)
        blind(server.registry)
        assert execute(defs, real, STUDY, select=[name]).is_success
    assert not shown(tmp_path, name)


def test_a_table_that_nobody_can_read_the_dictionary_for_is_refused(server):
    with ImednetSDK(server.api_key, server.security_key, server.base_url) as sdk:
        stored = sdk.variables.table(STUDY)
        with pytest.raises(TypeError, match="give sdk=sdk"):
            split_withheld("records", sdk.records.table(STUDY), stored)


@pytest.mark.parametrize(
    ("name", "path"),
    [("records", "records"), ("visits", "visits"), ("record_revisions", "recordRevisions")],
)
def test_what_is_blinded_while_rows_arrive_is_withheld(name, path, server, tmp_path):
    """The table is read anew: the rows that came before were split by the older dictionary."""
    defs = location(tmp_path, small_pages(server), *ALL)
    server.registry.after_page(path, 1, blind, study_key=STUDY)
    with instance(STUDY) as real:
        run = execute(defs, real, STUDY, select=["variables", "intervals", name])
        assert run.is_success
        assert len(materializations(real, name)[STUDY]) == 1
    assert not shown(tmp_path, name)
    assert len(LocalPipelineStore(tmp_path / "artifacts").versions(f"{name}/{STUDY}")) == 1


def test_a_dictionary_that_changes_at_every_reading_fails_the_study(server, tmp_path):
    defs = location(tmp_path, small_pages(server), variables, records)
    names = iter(["AETERM", "AESER", "AESTDAT", "AEENDAT"])

    def blind_another(registry):
        blind(registry, name=next(names))
        registry.after_page("records", 1, blind_another)

    server.registry.after_page("records", 1, blind_another)
    with instance(STUDY) as real:
        assert not execute(defs, real, STUDY, select=["variables", "records"]).is_success
        assert "DictionaryChangedError" in observations(real, "records")[STUDY]["error"]
    assert LocalPipelineStore(tmp_path / "artifacts").list_artifacts("records") == []
    assert LocalPipelineStore(tmp_path / "restricted").list_artifacts("records") == []


def test_a_window_counted_from_what_is_withheld_meanwhile_is_withheld(server, tmp_path):
    """The stored table of intervals may be out of date, too."""
    registry = server.registry
    _change(registry, "visits", STUDY, lambda row: {**row, "visitDate": None})
    for row in registry.rows("intervals", STUDY):
        registry.update_row("intervals", STUDY, row["intervalId"], windowCalculationDate="AESER")
    defs = location(tmp_path, small_pages(server), variables, intervals, visits)
    blind(registry)
    store = LocalPipelineStore(tmp_path / "artifacts")
    with instance(STUDY) as real:
        assert execute(defs, real, STUDY).is_success
        assert store.download_table(f"visits/{STUDY}")["start_date"].null_count == 0
        for row in registry.rows("intervals", STUDY):
            changes = {"windowCalculationDate": "AETERM"}
            registry.update_row("intervals", STUDY, row["intervalId"], **changes)
        assert execute(defs, real, STUDY, select=["visits"]).is_success
    starts = store.download_table(f"visits/{STUDY}")["start_date"]
    assert starts.null_count == len(starts) > 0


def test_the_dictionary_costs_a_request_for_each_table_that_is_split_by_it(server, tmp_path):
    with instance(STUDY) as real:
        defs = location(tmp_path, small_pages(server, page_size=500), *ALL)
        assert execute(defs, real, STUDY).is_success
        whole = asked_of(server)
        assert execute(defs, real, STUDY, select=["records"]).is_success
    # Their own tables; then after each table of the five, and after the form tables.
    assert (whole["variables"], whole["intervals"]) == (1 + len(TABLES) + 1, 1 + 1)
    assert asked_of(server)["variables"] == 1  # before; of what did not change, nothing is stored


def asked_of(server):
    """Return how often each endpoint was asked since this was asked before."""
    log = server.traffic.log
    server.traffic.clear()
    return Counter(each.endpoint for each in log if each.study_key == STUDY)
