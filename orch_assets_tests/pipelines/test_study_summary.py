"""The counts of ``study_summary`` against counts made from the registry's rows."""

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from orch_assets.imednet import arrow_schema
from orch_assets.imednet.models import (
    Form,
    Query,
    Record,
    Site,
    Subject,
    Variable,
    Visit,
)
from orch_assets.orchestration.pipeline import pipeline_of
from orch_assets.pipelines.queries import queries
from orch_assets.pipelines.records import records
from orch_assets.pipelines.sites import sites
from orch_assets.pipelines.study_summary import study_summary
from orch_assets.pipelines.subjects import subjects
from orch_assets.pipelines.visits import visits
from orch_assets_tests.pipelines.rows import run

TODAY = date(2025, 6, 1)
COUNTS = pa.schema(
    {
        "study_key": pa.string(),
        "measure": pa.string(),
        "site_name": pa.string(),
        "category": pa.string(),
        "count": pa.int64(),
        "month": pa.string(),
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
        visits=run(
            visits, sdk, study_key, variables=variables, intervals=sdk.intervals.table(study_key)
        )[0],
        forms=sdk.forms.table(study_key),
        variables=variables,
        today=TODAY,
    )


def counted(table):
    return {
        (row["measure"], row["site_name"], row["category"], row["month"]): row["count"]
        for row in table.to_pylist()
    }


SERIOUS = {"Y": "serious", "Yes": "serious", "N": "not serious", "No": "not serious"}


def counts_of(registry, study_key):
    """Count the registry's own rows."""

    def rows(endpoint):
        return [row for row in registry.rows(endpoint, study_key) if not row.get("deleted")]

    counts = Counter()
    subjects = rows("subjects")
    for row in subjects:
        counts["subjects_by_site_and_status", row["siteName"], row["subjectStatus"], None] += 1
        if row.get("enrollmentStartDate"):
            month = row["enrollmentStartDate"][:7]
            counts["enrolled_by_month", "", "enrolled", month] += 1
            counts["enrolled_by_site", row["siteName"], "enrolled", None] += 1
    for row in registry.rows("sites", study_key):
        counts["enrolled_by_site", row["siteName"], "enrolled", None] += 0
        if row["siteName"] not in {subject["siteName"] for subject in subjects}:
            counts["subjects_by_site_and_status", row["siteName"], "any", None] = 0
    for row in rows("records"):
        counts["records_by_status", "", row["recordStatus"], None] += 1
        if row["formKey"] == "AE":
            answer = SERIOUS.get(row["recordData"].get("AESER"), "unknown")
            began = row["recordData"].get("AESTDAT", "")
            month = began[:7] if began[4:5] == "-" and began[:7] <= "2025-06" else "unknown"
            counts["adverse_events_by_seriousness", "", answer, None] += 1
            counts["adverse_events_by_month", "", answer, month] += 1
    counts.update(query_counts(registry.rows("queries", study_key)))
    counts.update(visit_counts(rows("visits"), rows("records"), {s["subjectId"] for s in subjects}))
    for measure in ("enrolled_by_month", "adverse_events_by_month", "overdue_visits_by_age",
                    "records_by_entry_lag"):  # fmt: skip
        if measure not in {found for found, *_ in counts}:
            counts[measure, "", "any", None] = 0
    return dict(counts)


def query_counts(rows):
    counts = Counter()
    for row in rows:
        history = sorted(row["queryComments"], key=lambda comment: comment["sequence"])
        if not history[-1]["closed"]:
            days = (TODAY - date.fromisoformat(row["dateCreated"][:10])).days
            age = "0-7 days" if days < 8 else "8-30 days" if days < 31 else "31-90 days"
            counts["open_queries_by_age", "", age if days < 91 else "over 90 days", None] += 1
    return counts


def visit_counts(visits, records, subjects):
    counts = Counter()
    by_id = {row["visitId"]: row for row in visits}
    entered = {row["visitId"] for row in records if row.get("visitId")}
    for row in visits:
        end = row.get("endDate") or row.get("dueDate")
        if end and not row.get("visitDate") and row["visitId"] not in entered:
            days = (TODAY - date.fromisoformat(end)).days
            age = "1-7 days" if days < 8 else "8-30 days" if days < 31 else "31-90 days"
            if days > 0 and row["subjectId"] in subjects:
                age = age if days < 91 else "over 90 days"
                counts["overdue_visits_by_age", "", age, None] += 1
    for row in records:
        visited = by_id.get(row.get("visitId"), {}).get("visitDate")
        if visited:
            created = date.fromisoformat(row["dateCreated"][:10])
            days = (created - date.fromisoformat(visited)).days
            lags = ((3, "0-3 days"), (7, "4-7 days"), (14, "8-14 days"), (30, "15-30 days"))
            lag = next((name for most, name in lags if days <= most), "over 30 days")
            counts["records_by_entry_lag", "", lag, None] += 1
    return counts


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
        "enrolled_by_month",
        "enrolled_by_site",
        "adverse_events_by_month",
        "overdue_visits_by_age",
        "records_by_entry_lag",
    }
    # In the simulator, all records are entered within days.
    assert measures.pop("records_by_entry_lag") == 1
    assert min(measures.values()) > 1


# --- the rules in examples ---


EARLIER = {"subjects_by_site_and_status", "records_by_status", "open_queries_by_age",
           "adverse_events_by_seriousness"}  # fmt: skip
AE_FORM = {"form_key": "AE", "form_name": "Adverse Events"}


def table_of_rows(*, day=TODAY, **rows):
    """Return the table of a study of these rows."""
    models = {
        "sites": Site,
        "subjects": Subject,
        "records": Record,
        "queries": Query,
        "visits": Visit,
        "forms": Form,
        "variables": Variable,
    }
    rows = {"forms": [AE_FORM], **rows}
    upstreams = {
        name: pa.Table.from_pylist(list(rows.get(name, ())), schema=arrow_schema(model))
        for name, model in models.items()
    }
    upstreams["records"] = upstreams["records"].to_reader()
    return run(study_summary, None, "S1", **upstreams, today=day)


def of_rows(measures=EARLIER, **rows):
    """Return some counts of a study of these rows, without months."""
    table = table_of_rows(**rows)
    return {key[1:3]: n for key, n in counted(table).items() if key[0] in measures}


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
    upstreams = ("sites", "subjects", "records", "queries", "visits", "forms", "variables")
    assert pipeline_of(study_summary).upstreams == upstreams
    opened = datetime.now(UTC) - timedelta(days=20)
    open_query = {"date_created": opened, "query_comments": []}
    ages = counted(table_of_rows(day=None, queries=[open_query]))
    assert [key[2] for key in ages if key[0] == "open_queries_by_age"] == ["8-30 days"]


# --- where adverse events are ---


def adverse_events(data, *, forms=(AE_FORM,), variables=(), form_key="AE", **options):
    """Return the counts of one record's adverse event by seriousness and month."""
    record = {"form_key": form_key, "record_data": json.dumps(data)}
    table = table_of_rows(records=[record], forms=forms, variables=variables, **options)
    return {key[2:]: n for key, n in counted(table).items() if key[0] == "adverse_events_by_month"}


def variable(name, label, kind="DATE", form_key="AE"):
    return {
        "form_key": form_key, "variable_name": name, "label": label, "variable_type": kind
    }  # fmt: skip


@pytest.mark.parametrize(
    ("began", "month"),
    [
        ("2025-03-09", "2025-03"), ("2025-03-09 10:00:00", "2025-03"), ("2025-03", "2025-03"),
        ("09-Mar-2025", "2025-03"), ("09MAR2025", "2025-03"), ("2025", "unknown"),
        ("2025-13-01", "unknown"), ("03/09/2025", "unknown"), ("", "unknown"), (None, "unknown"),
        ("2025-06-30", "2025-06"), ("2025-07-01", "unknown"),
    ],
)  # fmt: skip
def test_an_adverse_event_counts_in_the_month_of_its_start(began, month):
    data = {"AESER": "Yes", "AESTDAT": began}
    assert adverse_events(data) == {("serious", month): 1}


def test_a_form_with_another_key_is_found_by_its_name():
    form = {"form_key": "F12", "form_name": "Log of adverse events"}
    data = {"AESER": "No", "AESTDAT": "2025-03-09"}
    found = adverse_events(data, forms=[form], form_key="F12")
    assert found == {("not serious", "2025-03"): 1}


def test_a_study_without_such_a_form_says_so():
    form = {"form_key": "VS", "form_name": "Vital signs"}
    assert adverse_events({}, forms=[form]) == {("no form", None): 0}


def test_a_study_with_several_such_forms_says_so():
    forms = [{"form_key": key, "form_name": "Adverse event"} for key in ("A", "B")]
    assert adverse_events({}, forms=forms, form_key="A") == {("several forms", None): 0}
    assert adverse_events({}, forms=[*forms, AE_FORM]) == {("unknown", "unknown"): 1}


def test_variables_with_other_names_are_found_by_their_labels():
    variables = [
        variable("Q1", "Is the event serious?", "RADIO"),
        variable("Q2", "Date of onset"),
        variable("Q3", "Start of treatment", "TEXT"),
        variable("Q4", "Start date", form_key="CM"),
    ]
    data = {"Q1": "Y", "Q2": "2025-03-09", "Q3": "2024-01-01"}
    assert adverse_events(data, variables=variables) == {("serious", "2025-03"): 1}


def test_of_two_labels_that_fit_none_is_guessed():
    variables = [variable("Q1", "Serious?", "RADIO"), variable("Q2", "Seriousness", "RADIO")]
    found = adverse_events({"Q1": "Y", "Q2": "N"}, variables=variables)
    assert found == {("unknown", "unknown"): 1}


# --- visits ---


def overdue(*, records=(), subjects=(), **visit):
    visit = {"visit_id": 1, "subject_id": 7, **visit}
    counts = of_rows({"overdue_visits_by_age"}, visits=[visit], records=records, subjects=subjects)
    return {name for (_, name), count in counts.items() if count}


@pytest.mark.parametrize(
    ("days", "age"),
    [(0, set()), (1, {"1-7 days"}), (8, {"8-30 days"}), (90, {"31-90 days"}),
     (91, {"over 90 days"})],
)  # fmt: skip
def test_a_visit_is_overdue_from_the_day_after_its_window(days, age):
    end = TODAY - timedelta(days=days)
    assert overdue(end_date=end, due_date=date(2020, 1, 1)) == age
    assert overdue(due_date=end) == age


def test_a_visit_with_a_date_or_a_record_or_without_a_window_is_not_overdue():
    end = date(2025, 1, 1)
    assert overdue(end_date=end) == {"over 90 days"}
    assert overdue(end_date=end, visit_date=end) == set()
    assert overdue(end_date=end, records=[{"visit_id": 1}]) == set()
    assert overdue(end_date=end, records=[{"visit_id": 1, "deleted": True}]) == {"over 90 days"}
    assert overdue(end_date=end, deleted=True) == set()
    assert overdue(end_date=end, subjects=[{"subject_id": 7, "deleted": True}]) == set()
    assert overdue() == set()


@pytest.mark.parametrize(
    ("days", "lag"),
    [(-2, "0-3 days"), (3, "0-3 days"), (4, "4-7 days"), (14, "8-14 days"), (30, "15-30 days"),
     (31, "over 30 days")],
)  # fmt: skip
def test_a_records_lag_is_the_days_from_its_visit_in_utc(days, lag):
    visit = {"visit_id": 1, "visit_date": date(2025, 3, 9)}
    created = datetime(2025, 3, 9, 23, 59, tzinfo=UTC) + timedelta(days=days)
    record = {"visit_id": 1, "date_created": created}
    others = [{"visit_id": 2, "date_created": created}, {"date_created": created}]
    counts = of_rows({"records_by_entry_lag"}, visits=[visit], records=[record, *others])
    assert counts == {("", lag): 1}
