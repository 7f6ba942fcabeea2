"""Fields that the API description doesn't name: withheld from every table, or open by a setting."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets import LocalPipelineStore, SplitTable, pipelines, study_pipeline
from orch_assets.defs.discovery import discover_pipelines
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.imednet.arrow import arrow_schema
from orch_assets.imednet.blinding.rules import BlindingRules
from orch_assets.imednet.blinding.split import all_open, extra_splitter, splitter
from orch_assets.imednet.models import Record, Subject, Variable
from orch_assets.pipelines.sites import sites
from orch_assets_tests.support.harness import execute, instance, materializations, observations
from orch_assets_tests.support.runs import location, small_pages

STUDY = "ONC-301"
MARK = "planted"
ENDPOINTS = {
    "codings": "codings",
    "forms": "forms",
    "intervals": "intervals",
    "queries": "queries",
    "record_revisions": "recordRevisions",
    "records": "records",
    "sites": "sites",
    "subjects": "subjects",
    "variables": "variables",
    "visits": "visits",
}
ALL = [each.function for each in discover_pipelines(pipelines) if each.name != "users"]


def plant(row):
    """Put an unknown field into a row and into each element of its lists."""
    inside = {
        key: [plant(each) for each in value]
        for key, value in row.items()
        if isinstance(value, list) and all(isinstance(each, dict) for each in value)
    }
    return {**row, **inside, "sponsorNote": MARK}


@pytest.fixture
def server():
    """A study whose every row, in every table, has a field of the sponsor's own."""
    registry = DemoRegistry(studies=1, subjects=5)
    for path in ENDPOINTS.values():
        rows = registry.table(path, STUDY)
        rows._keep([plant(row) for row in rows.rows])
    listing = registry.table("studies", None)
    listing._keep([plant(row) for row in listing.rows])
    with DemoServer(registry) as running:
        yield running


def whole(folder, name):
    return LocalPipelineStore(folder).download_table(f"{name}/{STUDY}").to_pylist()


def test_unknown_fields_are_in_companions_alone(server, tmp_path):
    """Each companion has the row that its field is of, with the field as it was sent."""
    with instance(STUDY) as real:
        assert execute(location(tmp_path, small_pages(server), *ALL), real, STUDY).is_success
    for path in (tmp_path / "artifacts").rglob("*"):
        assert path.is_dir() or MARK.encode() not in path.read_bytes(), path
    for name, endpoint in [*ENDPOINTS.items(), ("study", "studies")]:
        kept_apart = whole(tmp_path / "restricted", name)
        theirs = server.registry.rows(endpoint, None if name == "study" else STUDY)
        assert len(kept_apart) == len(theirs), name
        assert {row["extra"] for row in kept_apart} == {f'{{"sponsorNote":"{MARK}"}}'}
    keywords = [row["keywords"] for row in whole(tmp_path / "restricted", "subjects")]
    assert any(MARK in each["extra"] for row in keywords for each in row or ())


def test_form_tables_take_no_notice_of_unknown_fields(server, tmp_path):
    """A withheld form table has a row for each record that withholds an answer, no other."""
    with instance(STUDY) as real:
        assert execute(location(tmp_path, small_pages(server), *ALL), real, STUDY).is_success
    store = LocalPipelineStore(tmp_path / "restricted")
    tables = store.download_set_tables(f"form_tables/{STUDY}")
    with_answers = [row for row in whole(tmp_path / "restricted", "records") if row["record_data"]]
    assert 0 < sum(table.num_rows for table in tables.values()) == len(with_answers)


def test_a_setting_opens_them(server, tmp_path, monkeypatch):
    monkeypatch.setenv("ORCH_EXTRA_FIELDS", "open")
    with instance(STUDY) as real:
        assert execute(location(tmp_path, small_pages(server), sites), real, STUDY).is_success
    assert {MARK in row["extra"] for row in whole(tmp_path / "artifacts", "sites")} == {True}
    assert not LocalPipelineStore(tmp_path / "restricted").list_artifacts()


def test_a_setting_that_is_neither_ends_the_run_before_the_first_request(
    server, tmp_path, monkeypatch
):
    monkeypatch.setenv("ORCH_EXTRA_FIELDS", "yes")
    with instance(STUDY) as real:
        assert not execute(location(tmp_path, small_pages(server), sites), real, STUDY).is_success
    assert server.traffic.log == []


@study_pipeline
def both_parts(study_key, sdk, study_logger, sites: SplitTable):
    """Rows of both parts of a table."""
    return {
        "open": sum(each.num_rows for each in sites.table),
        "withheld": sum(each.num_rows for each in sites.withheld),
    }


def test_a_table_without_unknown_fields_has_no_companion_and_its_event_says_so(tmp_path):
    with DemoServer(DemoRegistry(studies=1, subjects=5)) as server, instance(STUDY) as real:
        defs = location(tmp_path, small_pages(server), sites, both_parts)
        for select in (["sites", "both_parts"], ["both_parts"]):
            assert execute(defs, real, STUDY, select=select).is_success
        (event,) = materializations(real, "sites")[STUDY]
        assert (event["withheld_rows"], "withheld_uri" in event) == (0, False)
        assert LocalPipelineStore(tmp_path / "restricted").list_artifacts() == []
        rows = len(server.registry.rows("sites", STUDY))
        counts = [each["data"] for each in materializations(real, "both_parts")[STUDY]]
        assert counts == [{"open": rows, "withheld": 0}] * 2


def test_an_earlier_companion_does_not_outlive_its_fields(server, tmp_path):
    """Where one is stored, an empty one replaces it."""
    with instance(STUDY) as real:
        defs = location(tmp_path, small_pages(server), sites)
        assert execute(defs, real, STUDY).is_success
        rows = server.registry.table("sites", STUDY)
        rows._keep([{k: v for k, v in row.items() if k != "sponsorNote"} for row in rows.rows])
        assert execute(defs, real, STUDY).is_success
    assert whole(tmp_path / "restricted", "sites") == []


def test_a_companion_that_is_lost_is_an_error_where_there_was_one(server, tmp_path):
    with instance(STUDY) as real:
        defs = location(tmp_path, small_pages(server), sites, both_parts)
        assert execute(defs, real, STUDY).is_success
        LocalPipelineStore(tmp_path / "restricted").delete(f"sites/{STUDY}")
        assert not execute(defs, real, STUDY, select=["both_parts"]).is_success
        assert "ArtifactNotFoundError" in observations(real, "both_parts")[STUDY]["error"]


# --- any rows ---

EXTRA = st.sampled_from([None, None, '{"more":1}'])
keywords = st.none() | st.lists(
    st.none() | st.builds(lambda extra: {"keyword_name": "k", "extra": extra}, EXTRA), max_size=3
)


@given(st.lists(st.tuples(EXTRA, keywords), max_size=8), st.integers(0, 8))
def test_each_unknown_field_is_on_one_side_whatever_the_rows(found, cut):
    rows = [{"subject_id": n, "extra": e, "keywords": k} for n, (e, k) in enumerate(found)]
    table = pa.Table.from_pylist(rows, schema=arrow_schema(Subject))
    table = pa.concat_tables([table.slice(cut), table.slice(0, cut)])
    shown, kept_apart = extra_splitter("subjects", all_open)(table)
    assert shown.schema.equals(table.schema)
    shown.validate(full=True)
    before = table.to_pylist()
    assert shown.to_pylist() == [
        {**row, "extra": None, "keywords": row["keywords"] and [
            each and {**each, "extra": None} for each in row["keywords"]
        ]}
        for row in before
    ]  # fmt: skip
    with_extra = [
        row for row in before
        if row["extra"] or any(each and each["extra"] for each in row["keywords"] or ())
    ]  # fmt: skip
    assert kept_apart.to_pylist() == sorted(with_extra, key=lambda row: row["subject_id"])


def test_a_record_is_once_in_the_companion_whatever_is_withheld_of_it():
    parts = [('{"A":1}', None), ("{}", '{"more":1}'), ('{"A":1}', "{}")]
    keywords = [{"keyword_name": "k", "extra": '{"more":2}'}]
    rows = [
        {"record_id": n, "form_id": 1, "record_data": data, "extra": extra, "keywords": keywords}
        for n, (data, extra) in enumerate(parts)
    ]
    records = pa.Table.from_pylist(rows, schema=arrow_schema(Record))
    nothing = arrow_schema(Variable).empty_table()
    shown, kept_apart = extra_splitter("records", splitter("records", BlindingRules(nothing)))(
        records
    )
    assert kept_apart["record_id"].to_pylist() == [0, 1, 2]
    assert kept_apart["record_data"].to_pylist() == ['{"A":1}', None, '{"A":1}']
    assert shown["extra"].null_count == 3
    assert "more" not in str(shown.to_pylist())
