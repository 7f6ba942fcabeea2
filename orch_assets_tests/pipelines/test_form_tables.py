"""The pipeline ``form_tables``: both parts of the records, and what is logged of them."""

import logging

import pyarrow as pa
import pytest

from orch_assets import LocalPipelineStore, SplitTable, split_withheld
from orch_assets.pipelines.form_tables import form_tables
from orch_assets.pipelines.forms import forms
from orch_assets.pipelines.records import records
from orch_assets.pipelines.variables import variables
from orch_assets.stores import ArtifactKind
from orch_assets_tests.pipelines.rows import run, withheld_variables
from orch_assets_tests.support.harness import definitions, execute, instance, states

STUDY = "ONC-301"


@pytest.fixture(scope="module")
def upstreams(sdk):
    return upstreams_of(STUDY, sdk)


def upstreams_of(study_key, sdk):
    dictionary = sdk.variables.table(study_key)
    return {
        "records": split_withheld(
            "records", sdk.records.table(study_key), dictionary, sdk=sdk, study_key=study_key
        ),
        "variables": dictionary,
        "forms": sdk.forms.table(study_key),
    }


def reader(table):
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=10))


def test_each_record_is_a_row_of_its_forms_table(sdk, server, upstreams):
    tables, _ = run(form_tables, sdk, STUDY, **upstreams)
    keys = [row["formKey"] for row in server.registry.rows("forms", STUDY)]
    assert list(tables) == keys
    for form in keys:
        ids = [
            row["recordId"]
            for row in server.registry.rows("records", STUDY)
            if row["formKey"] == form
        ]
        assert tables[form]["record_id"].to_pylist() == ids


def test_withheld_values_are_in_the_withheld_tables_alone(sdk, server, upstreams):
    tables, withheld = run(form_tables, sdk, STUDY, **upstreams)
    closed = withheld_variables(server.registry, STUDY)
    assert closed
    for form, name in closed:
        assert name not in tables[form].column_names
        sent = [
            row["recordData"][name]
            for row in server.registry.rows("records", STUDY)
            if row["formKey"] == form and name in row["recordData"]
        ]
        assert sent
        kept = withheld[form][name].to_pylist()
        assert [value for value in kept if value is not None] == sent
    assert withheld.keys() == {form for form, _ in closed}


def test_streams_give_what_tables_give(sdk, upstreams):
    parts = upstreams["records"]
    streams = SplitTable(reader(parts.table), reader(parts.withheld))
    for ours, theirs in zip(
        run(form_tables, sdk, STUDY, **{**upstreams, "records": streams}),
        run(form_tables, sdk, STUDY, **upstreams),
        strict=True,
    ):
        assert ours.keys() == theirs.keys()
        assert all(ours[name].equals(theirs[name], check_metadata=True) for name in theirs)


def test_what_is_too_much_for_memory_is_stored_the_same(sdk, upstreams, tmp_path, monkeypatch):
    whole = run(form_tables, sdk, STUDY, **upstreams)
    monkeypatch.setattr("orch_assets.pipelines.form_tables._MEMORY_BYTES", 1000)
    streams = run(form_tables, sdk, STUDY, **upstreams)
    store = LocalPipelineStore(tmp_path)
    for part, ours, theirs in zip("ab", streams, whole, strict=True):
        assert not any(isinstance(each, pa.Table) for each in ours.values())
        store.upload_set(ours, part)
        store.upload_set(theirs, part)
        assert len(store.versions(part, kind=ArtifactKind.SET)) == 1


def test_the_log_counts_forms_records_and_misfits(sdk, server, upstreams, caplog):
    with caplog.at_level(logging.INFO):
        tables, withheld = run(form_tables, sdk, STUDY, **upstreams)
    misfits = sum(
        value is None and bool((text or "").strip())
        for table in [*tables.values(), *withheld.values()]
        for field in table.schema
        if b"raw_of" in (field.metadata or {})
        for value, text in zip(
            table[field.metadata[b"raw_of"].decode()].to_pylist(),
            table[field.name].to_pylist(),
            strict=True,
        )
    )
    assert misfits > 0
    (line,) = [each.getMessage() for each in caplog.records if "forms" in each.getMessage()]
    count = len(server.registry.rows("records", STUDY))
    assert line.endswith(
        f"{len(tables)} forms, {count} records, {misfits} values that don't fit their type"
    )


def test_a_study_in_which_nothing_has_happened_has_all_tables_without_rows(sdk, server):
    tables, withheld = run(form_tables, sdk, "EMPTY-1", **upstreams_of("EMPTY-1", sdk))
    assert len(tables) == len(server.registry.rows("forms", "EMPTY-1"))
    assert withheld
    assert {table.num_rows for table in [*tables.values(), *withheld.values()]} == {0}
    assert "AGE" in tables["DM"].column_names


def test_alone_in_a_run_it_takes_both_parts_from_the_stores(tmp_path):
    """The records of an earlier run; the sets are the same as in one run with them."""
    with instance(STUDY) as real:
        defs = definitions(tmp_path, forms, variables, records, form_tables)
        runs = [execute(defs, real, STUDY), execute(defs, real, STUDY, select=["form_tables"])]
        assert [run.is_success for run in runs] == [True, True]
        assert states(real, "form_tables") == {STUDY: "MATERIALIZED"}
    for folder in ("artifacts", "restricted"):
        store = LocalPipelineStore(tmp_path / folder)
        assert store.list_artifacts(kind=ArtifactKind.SET) == [f"form_tables/{STUDY}"]
        assert len(store.versions(f"form_tables/{STUDY}", kind=ArtifactKind.SET)) == 1
        assert sum(t.num_rows for t in store.download_set_tables(f"form_tables/{STUDY}").values())
