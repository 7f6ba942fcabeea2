"""The counts of ``study_summary`` against counts made from the registry's rows."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from orch_assets.imednet import arrow_schema
from orch_assets.imednet.models import Query, Record, Site, Subject
from orch_assets.orchestration.pipeline import pipeline_of
from orch_assets.pipelines.queries import queries
from orch_assets.pipelines.records import records
from orch_assets.pipelines.sites import sites
from orch_assets.pipelines.study_summary import study_summary
from orch_assets.pipelines.subjects import subjects
from orch_assets_tests.pipelines.rows import run

TODAY = date(2025, 6, 1)
COUNTS = pa.schema(
    {
        "study_key": pa.string(),
        "measure": pa.string(),
        "site_name": pa.string(),
        "category": pa.string(),
        "count": pa.int64(),
    }
)


def summarize(sdk, study_key):
    variables = sdk.variables.table(study_key)
    return run(
        study_summary,
        sdk,
        study_key,
        sites=run(sites, sdk, study_key)[0],
        subjects=run(subjects, sdk, study_key)[0],
        records=run(records, sdk, study_key, variables=variables)[0].to_reader(),
        queries=run(queries, sdk, study_key, variables=variables)[0],
        today=TODAY,
    )


def counted(table):
    return {
        (row["measure"], row["site_name"], row["category"]): row["count"]
        for row in table.to_pylist()
    }


def counts_of(registry, study_key):
    """Count the registry's own rows."""
    counts = Counter()
    enrolled = [row for row in registry.rows("subjects", study_key) if not row["deleted"]]
    for row in enrolled:
        counts["subjects_by_site_and_status", row["siteName"], row["subjectStatus"]] += 1
    for row in registry.rows("sites", study_key):
        if row["siteName"] not in {subject["siteName"] for subject in enrolled}:
            counts["subjects_by_site_and_status", row["siteName"], "any"] = 0
    for row in registry.rows("records", study_key):
        if not row["deleted"]:
            counts["records_by_status", "", row["recordStatus"]] += 1
            if row["formKey"] == "AE":
                serious = {
                    "Y": "serious",
                    "Yes": "serious",
                    "N": "not serious",
                    "No": "not serious",
                }
                answer = serious.get(row["recordData"].get("AESER"), "unknown")
                counts["adverse_events_by_seriousness", "", answer] += 1
    for row in registry.rows("queries", study_key):
        history = sorted(row["queryComments"], key=lambda comment: comment["sequence"])
        if not history[-1]["closed"]:
            days = (TODAY - date.fromisoformat(row["dateCreated"][:10])).days
            age = "0-7 days" if days < 8 else "8-30 days" if days < 31 else "31-90 days"
            counts["open_queries_by_age", "", age if days < 91 else "over 90 days"] += 1
    return dict(counts)


@pytest.mark.parametrize("study_key", ["ONC-301", "CARD-202", "DERM-104", "EMPTY-1"])
def test_the_counts_are_those_of_the_registrys_rows(study_key, sdk, server):
    table = summarize(sdk, study_key)
    assert counted(table) == counts_of(server.registry, study_key)
    assert table.num_rows == len(counted(table))
    assert set(table["study_key"].to_pylist()) == {study_key}
    assert table.schema.equals(COUNTS)


def test_the_registry_has_something_of_every_measure(sdk):
    measures = Counter(measure for measure, *_ in counted(summarize(sdk, "ONC-301")))
    assert measures.keys() == {
        "subjects_by_site_and_status",
        "records_by_status",
        "open_queries_by_age",
        "adverse_events_by_seriousness",
    }
    assert min(measures.values()) > 1


# --- the rules in examples ---


def of_rows(*, sites=(), subjects=(), records=(), queries=()):
    """Return the counts of a study of these rows."""
    upstreams = {
        name: pa.Table.from_pylist(list(rows), schema=arrow_schema(model))
        for name, model, rows in (
            ("sites", Site, sites),
            ("subjects", Subject, subjects),
            ("records", Record, records),
            ("queries", Query, queries),
        )
    }
    upstreams["records"] = upstreams["records"].to_reader()
    table = run(study_summary, None, "S1", **upstreams, today=TODAY)
    return {key[1:]: count for key, count in counted(table).items()}


def query(*comments, days=0):
    midnight = datetime(2025, 6, 1, tzinfo=UTC)
    history = [{"sequence": sequence, "closed": closed} for sequence, closed in comments]
    return {"date_created": midnight - timedelta(days=days), "query_comments": history}


@pytest.mark.parametrize(
    ("comments", "is_open"),
    [
        ([(1, False)], True),
        ([(1, False), (2, True)], False),
        ([(2, True), (1, False)], False),
        ([(3, False), (1, False), (2, True)], True),
        ([(1, None)], True),
        ([(None, False), (1, True)], False),
        ([], True),
    ],
)
def test_the_last_comment_by_sequence_says_whether_a_query_is_open(comments, is_open):
    assert of_rows(queries=[query(*comments)]) == ({("", "0-7 days"): 1} if is_open else {})


def test_a_query_without_a_history_or_a_date_is_open_and_of_unknown_age():
    assert of_rows(queries=[{"query_comments": None}]) == {("", "unknown"): 1}


@pytest.mark.parametrize(
    ("days", "age"),
    [
        (-1, "0-7 days"), (0, "0-7 days"), (7, "0-7 days"), (8, "8-30 days"), (30, "8-30 days"),
        (31, "31-90 days"), (90, "31-90 days"), (91, "over 90 days"),
    ],
)  # fmt: skip
def test_a_querys_age_is_days_in_utc(days, age):
    assert of_rows(queries=[query((1, False), days=days)]) == {("", age): 1}


@pytest.mark.parametrize(
    ("data", "category"),
    [
        ('{"AESER":"Y"}', "serious"),
        ('{"aeser":"yes"}', "serious"),
        ('{"AESER":" N "}', "not serious"),
        ('{"AESER":"No"}', "not serious"),
        ('{"AESER":""}', "unknown"),
        ('{"AESER":null}', "unknown"),
        ('{"AESER":1}', "unknown"),
        ("{}", "unknown"),
        (None, "unknown"),
    ],
)
def test_an_adverse_event_is_serious_as_its_record_says(data, category):
    record = {"form_key": "ae", "record_status": "Done", "record_data": data}
    assert of_rows(records=[record]) == {("", "Done"): 1, ("", category): 1}


def test_what_is_deleted_is_not_counted_and_what_is_not_known_is_named_so():
    deleted = {"deleted": True, "form_key": "AE", "record_data": "{}"}
    counts = of_rows(
        sites=[{"site_name": "Basel"}, {"site_name": None}],
        subjects=[{"site_name": "Basel", "deleted": True}, {"site_name": "Bern", "deleted": None}],
        records=[deleted, {"form_key": None, "deleted": False}],
    )
    assert counts == {
        ("Basel", "any"): 0,
        ("Bern", "unknown"): 1,
        ("unknown", "any"): 0,
        ("", "unknown"): 1,
    }


@pytest.mark.parametrize("odd", ["9" * 5000, "1e400", '"\\ud83d"'])
def test_what_python_has_no_type_for_stands_beside_an_answer(odd):
    data = f'{{"AESER":"Yes","ODD":{odd}}}'
    record = {"form_key": "ae", "record_status": "Done", "record_data": data}
    assert of_rows(records=[record]) == {("", "Done"): 1, ("", "serious"): 1}


def test_other_forms_than_that_of_adverse_events_are_not_decoded():
    record = {"form_key": "VS", "record_status": "Done", "record_data": "no JSON"}
    assert of_rows(records=[record]) == {("", "Done"): 1}


def test_the_day_is_no_upstream_and_is_today_by_default():
    assert pipeline_of(study_summary).upstreams == ("sites", "subjects", "records", "queries")
    opened = datetime.now(UTC) - timedelta(days=20)
    open_query = {"date_created": opened, "query_comments": []}
    tables = {
        name: arrow_schema(model).empty_table()
        for name, model in (("sites", Site), ("subjects", Subject), ("records", Record))
    }
    queried = pa.Table.from_pylist([open_query], schema=arrow_schema(Query))
    tables["records"] = tables["records"].to_reader()
    table = run(study_summary, None, "S1", **tables, queries=queried)
    assert table["category"].to_pylist() == ["8-30 days"]
