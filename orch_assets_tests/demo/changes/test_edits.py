"""What each kind of edit changes, and what it leaves alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orch_assets.demo import DemoRegistry
from orch_assets.demo.changes.study_edit import StudyEdit
from orch_assets.demo.read_api import STUDY_ENDPOINTS
from orch_assets.demo.row_tables import Row

STUDY = "ONC-301"
NOW = "2025-07-01 08:00:00"
Difference = dict[str, dict[Any, tuple[Row | None, Row | None]]]


@pytest.fixture
def registry() -> DemoRegistry:
    registry = DemoRegistry(studies=1, subjects=8)
    registry.clock.set(datetime(2025, 7, 1, 8, tzinfo=UTC))
    return registry


@contextmanager
def watched(registry: DemoRegistry) -> Iterator[Difference]:
    """Yield a dictionary; after the block it has each row that is no longer equal: old and new."""
    before = {name: registry.table(name, STUDY).by_id() for name in STUDY_ENDPOINTS}
    difference: Difference = {}
    yield difference
    for name, old in before.items():
        new = registry.table(name, STUDY).by_id()
        changed = {
            row_id: (old.get(row_id), new.get(row_id))
            for row_id in {**old, **new}
            if old.get(row_id) != new.get(row_id)
        }
        if changed:
            difference[name] = changed


def fields(difference: Difference, endpoint: str, row_id: object) -> set[str]:
    """Return the names of the fields in which the old and the new row differ."""
    old, new = difference[endpoint][row_id]
    assert old is not None
    assert new is not None
    return {name for name in {**old, **new} if old.get(name) != new.get(name)}


def ids(difference: Difference) -> dict[str, list[Any]]:
    return {name: sorted(rows) for name, rows in difference.items()}


def first(registry: DemoRegistry, endpoint: str, **values: Any) -> Row:
    with registry.edit(STUDY) as edit:
        return getattr(edit, endpoint).find(**values)


def test_changing_an_answer_moves_the_date_and_adds_one_revision(registry: DemoRegistry) -> None:
    record = first(registry, "records", formKey="VS", deleted=False)
    user = registry.rows("users", STUDY)[-1]
    registry.clock.set(datetime(2025, 7, 1, 8, tzinfo=UTC))
    with watched(registry) as difference, registry.edit(STUDY, user=user["login"]) as edit:
        edit.records.change(record["recordId"], {"SYSBP": 121}, reason="Query response")
    assert set(difference) == {"records", "recordRevisions"}
    assert fields(difference, "records", record["recordId"]) == {"dateModified", "recordData"}
    _, new = difference["records"][record["recordId"]]
    assert new is not None
    assert new["recordData"] == {**record["recordData"], "SYSBP": 121, "dateModified": NOW}
    ((revision_id, (old, revision)),) = difference["recordRevisions"].items()
    earlier = [
        row
        for row in registry.rows("recordRevisions", STUDY)
        if row["recordId"] == record["recordId"]
    ][-2]
    assert old is None
    assert revision == {
        **earlier,
        "recordRevisionId": revision_id,
        "recordRevision": earlier["recordRevision"] + 1,
        "dataRevision": earlier["dataRevision"] + 1,
        "role": user["roles"][0]["name"],
        "user": user["login"],
        "reasonForChange": "Query response",
        "dateCreated": NOW,
    }


def test_deleting_keeps_the_record_and_restoring_gives_it_a_new_date(
    registry: DemoRegistry,
) -> None:
    record = first(registry, "records", deleted=False)
    with watched(registry) as deletion, registry.edit(STUDY) as edit:
        edit.records.delete(record["recordId"])
    with watched(registry) as restoring, registry.edit(STUDY) as edit:
        new = edit.records.restore(record["recordId"])
    for difference in (deletion, restoring):
        assert ids(difference).keys() == {"records", "recordRevisions"}
        assert fields(difference, "records", record["recordId"]) == {
            "deleted",
            "dateModified",
            "recordData",
        }
    ((_, revision),) = deletion["recordRevisions"].values()
    assert revision is not None
    assert revision["deleted"] is True
    assert new["deleted"] is False
    assert new["dateModified"] > record["dateModified"]


def test_a_status_change_is_no_revision_of_the_data(registry: DemoRegistry) -> None:
    record = first(registry, "records", deleted=False)
    with watched(registry) as difference, registry.edit(STUDY) as edit:
        edit.records.set_status(record["recordId"], "Record Signed")
    ((_, revision),) = difference["recordRevisions"].values()
    assert revision is not None
    assert revision["recordStatus"] == "Record Signed"
    assert revision["recordRevision"] > revision["dataRevision"]


def test_removing_a_record_takes_all_but_its_audit_trail(registry: DemoRegistry) -> None:
    parent = next(
        row["parentRecordId"] for row in registry.rows("records", STUDY) if "parentRecordId" in row
    )
    gone = {
        row["recordId"]
        for row in registry.rows("records", STUDY)
        if parent in {row["recordId"], row.get("parentRecordId")}
    }
    queries = [row for row in registry.rows("queries", STUDY) if row.get("recordId") in gone]
    with watched(registry) as difference, registry.edit(STUDY) as edit:
        edit.records.remove(parent)
    assert len(gone) == 4
    assert ids(difference).get("queries", []) == [row["annotationId"] for row in queries]
    assert ids(difference)["records"] == sorted(gone)
    assert "recordRevisions" not in difference
    assert all(new is None for rows in difference.values() for _, new in rows.values())


def test_an_added_record_has_the_fields_of_its_siblings_and_a_first_revision(
    registry: DemoRegistry,
) -> None:
    visit = next(row for row in registry.rows("visits", STUDY) if "visitDate" in row)
    sibling = first(registry, "records", formKey="VS", subjectId=visit["subjectId"])
    registry.clock.set(datetime(2025, 7, 1, 8, tzinfo=UTC))
    with watched(registry) as difference, registry.edit(STUDY) as edit:
        new = edit.records.add("VS", visit["subjectId"], {"PULSE": 70}, visit_id=visit["visitId"])
    assert ids(difference).keys() == {"records", "recordRevisions"}
    assert set(new) == set(sibling)
    same = ("subjectKey", "subjectOid", "siteId", "formId", "studyKey")
    assert [new[name] for name in same] == [sibling[name] for name in same]
    assert (new["visitId"], new["intervalId"]) == (visit["visitId"], visit["intervalId"])
    assert new["dateCreated"] == new["dateModified"] == NOW
    assert new["recordData"]["PULSE"] == 70
    ((_, revision),) = difference["recordRevisions"].values()
    assert revision is not None
    assert (revision["recordRevision"], revision["reasonForChange"]) == (1, "")


def test_a_removed_rows_id_is_never_used_again(registry: DemoRegistry) -> None:
    subject = registry.rows("subjects", STUDY)[0]["subjectId"]
    with registry.edit(STUDY) as edit:
        new = edit.records.add("AE", subject, {"AETERM": "Nausea"})
    with registry.edit(STUDY) as edit:
        edit.records.remove(new["recordId"])
        other = edit.records.add("AE", subject, {"AETERM": "Nausea"})
    assert other["recordId"] > new["recordId"]


def test_a_changed_term_loses_its_coding(registry: DemoRegistry) -> None:
    coding = registry.rows("codings", STUDY)[0]
    with watched(registry) as difference, registry.edit(STUDY) as edit:
        edit.records.change(coding["recordId"], {coding["variable"]: "Something else"})
    assert difference["codings"] == {coding["codingId"]: (coding, None)}


def test_a_coding_moves_its_own_date_and_can_change_back(registry: DemoRegistry) -> None:
    coding = registry.rows("codings", STUDY)[0]
    with watched(registry) as difference, registry.edit(STUDY) as edit:
        edit.codings.change(coding["codingId"], "99999999", reason="Better match")
    assert ids(difference) == {"codings": [coding["codingId"]]}
    assert fields(difference, "codings", coding["codingId"]) == {
        "code",
        "reason",
        "revision",
        "dateCoded",
    }
    with registry.edit(STUDY) as edit:
        edit.codings.change_back(coding)
    assert registry.rows("codings", STUDY)[0] == coding


def test_a_waiting_term_is_coded_once(registry: DemoRegistry) -> None:
    subject = registry.rows("subjects", STUDY)[0]["subjectId"]
    with registry.edit(STUDY) as edit:
        record = edit.records.add("AE", subject, {"AETERM": "Nausea"})
    with watched(registry) as difference, registry.edit(STUDY) as edit:
        new = edit.codings.code(record["recordId"], "AETERM", "10028813")
        with pytest.raises(ValueError, match="waits for coding"):
            edit.codings.code(record["recordId"], "AETERM", "10028813")
    assert ids(difference) == {"codings": [new["codingId"]]}
    assert list(new) == list(registry.rows("codings", STUDY)[0])
    assert (new["value"], new["dictionaryName"], new["dateCoded"][:10]) == (
        "Nausea",
        "MedDRA",
        "2025-07-01",
    )


def test_a_query_is_opened_answered_closed_and_opened_again(registry: DemoRegistry) -> None:
    record = first(registry, "records", formKey="VS")
    with registry.edit(STUDY) as edit:
        query = edit.queries.open(record["recordId"], "PULSE", "Please check.")
    for change in ("answer", "close", "reopen"):
        with watched(registry) as difference, registry.edit(STUDY) as edit:
            getattr(edit.queries, change)(query["annotationId"], change)
        assert ids(difference) == {"queries": [query["annotationId"]]}
        assert fields(difference, "queries", query["annotationId"]) == {
            "queryComments",
            "dateModified",
        }
    now = registry.table("queries", STUDY).get(query["annotationId"])
    assert now is not None
    comments = now["queryComments"]
    assert [(row["sequence"], row["annotationStatus"], row["closed"]) for row in comments] == [
        (1, "Query Open", False),
        (2, "Query Responded", False),
        (3, "Query Closed", True),
        (4, "Query Open", False),
    ]
    assert comments[-1]["date"] == now["dateModified"] > now["dateCreated"]
    with registry.edit(STUDY) as edit, pytest.raises(ValueError, match="has the status"):
        edit.queries.reopen(query["annotationId"], "")


def test_a_subjects_status_moves_only_its_own_date(registry: DemoRegistry) -> None:
    subject = registry.rows("subjects", STUDY)[0]
    with watched(registry) as difference, registry.edit(STUDY) as edit:
        edit.subjects.change(subject["subjectId"], subjectStatus="On Hold")
    assert ids(difference) == {"subjects": [subject["subjectId"]]}
    assert fields(difference, "subjects", subject["subjectId"]) == {
        "subjectStatus",
        "dateModified",
    }


@pytest.mark.parametrize(
    ("table", "key", "name", "copies"),
    [
        ("sites", "siteId", "siteName", {"subjects", "codings"}),
        ("subjects", "subjectId", "subjectKey", {"visits", "records", "codings", "queries"}),
        ("forms", "formId", "formName", {"variables", "codings", "intervals"}),
        ("intervals", "intervalId", "intervalName", {"visits"}),
    ],
)
def test_copies_of_a_name_follow_without_a_new_date(
    registry: DemoRegistry, table: str, key: str, name: str, copies: set[str]
) -> None:
    codings = registry.rows("codings", STUDY)
    queried = {row["subjectId"] for row in registry.rows("queries", STUDY)}
    if table == "intervals":
        row_id = registry.rows("visits", STUDY)[0][key]
    elif table == "forms":
        row_id = first(registry, "forms", formKey="VS")[key]
        copies = copies - {"codings"}
    else:
        row_id = next(row for row in codings if row["subjectId"] in queried)[key]
    with watched(registry) as difference, registry.edit(STUDY) as edit:
        getattr(edit, table).change(row_id, **{name: "Other"})
    assert set(difference) == {table, *copies}
    for endpoint in copies:
        for copy_id in difference[endpoint]:
            assert fields(difference, endpoint, copy_id) <= {name, "forms"}


def test_a_deleted_subject_takes_its_visits_and_records_with_it_and_back(
    registry: DemoRegistry,
) -> None:
    subject = first(registry, "subjects", deleted=False)["subjectId"]
    with watched(registry) as deletion, registry.edit(STUDY) as edit:
        edit.subjects.delete(subject)
    with watched(registry) as restoring, registry.edit(STUDY) as edit:
        edit.subjects.restore(subject)
    records = deletion["records"]
    assert set(deletion) == {"subjects", "visits", "records", "recordRevisions"}
    assert len(deletion["recordRevisions"]) == len(records)
    assert all(
        row["deleted"]
        for name in ("visits", "records")
        for row in deletion[name].values()
        for row in row[1:]
        if row
    )
    assert {name: ids(restoring)[name] for name in ("subjects", "visits", "records")} == {
        name: ids(deletion)[name] for name in ("subjects", "visits", "records")
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"variableType": "TEXT"},
        {"label": "Pulse (1/min)"},
        {"blinded": True},
        {"blinded": None},
        {"disabled": True},
    ],
)
def test_a_variables_change_moves_its_own_date_and_revision(
    registry: DemoRegistry, changes: dict[str, Any]
) -> None:
    variable = first(registry, "variables", variableName="PULSE")["variableId"]
    with watched(registry) as difference, registry.edit(STUDY) as edit:
        edit.variables.change(variable, **changes)
    assert ids(difference) == {"variables": [variable]}
    assert fields(difference, "variables", variable) == {"dateModified", "revision", *changes}


def test_variables_are_added_deleted_restored_and_removed(registry: DemoRegistry) -> None:
    with watched(registry) as difference, registry.edit(STUDY) as edit:
        new = edit.variables.add("AE", "AENEW", label="New", blinded=True)
        edit.variables.delete(new["variableId"])
        edit.variables.restore(new["variableId"])
    assert ids(difference) == {"variables": [new["variableId"]]}
    assert list(new) == list(registry.rows("variables", STUDY)[0])
    with watched(registry) as difference, registry.edit(STUDY) as edit:
        edit.variables.remove(new["variableId"])
    ((_, gone),) = difference["variables"].values()
    assert gone is None


@pytest.mark.parametrize("with_answers", [False, True])
def test_a_renamed_variables_answers_follow_without_a_date_or_stay(
    registry: DemoRegistry, with_answers: bool
) -> None:
    variable = first(registry, "variables", variableName="PULSE")["variableId"]
    answered = [
        row["recordId"] for row in registry.rows("records", STUDY) if "PULSE" in row["recordData"]
    ]
    with watched(registry) as difference, registry.edit(STUDY) as edit:
        edit.variables.rename(variable, "HR", with_answers=with_answers)
    assert ids(difference).get("records", []) == (answered if with_answers else [])
    for record_id in difference.get("records", {}):
        assert fields(difference, "records", record_id) == {"recordData"}


def test_forms_are_added_disabled_and_removed(registry: DemoRegistry) -> None:
    with watched(registry) as difference, registry.edit(STUDY) as edit:
        new = edit.forms.add("NEW", "New form")
        variable = edit.variables.add("NEW", "NEWDAT", variable_type="DATE")
        edit.forms.change(new["formId"], disabled=True)
    assert ids(difference) == {
        "forms": [new["formId"]],
        "variables": [variable["variableId"]],
    }
    assert list(new) == list(registry.rows("forms", STUDY)[0])
    with registry.edit(STUDY) as edit:
        with pytest.raises(ValueError, match="has variables"):
            edit.forms.remove(new["formId"])
        edit.variables.remove(variable["variableId"])
        edit.forms.remove(new["formId"])


def test_a_user_becomes_inactive(registry: DemoRegistry) -> None:
    """Its row has no date that could move."""
    user = registry.rows("users", STUDY)[0]["userId"]
    with watched(registry) as difference, registry.edit(STUDY) as edit:
        edit.users.change(user, userActiveInStudy=False)
    assert ids(difference) == {"users": [user]}
    assert fields(difference, "users", user) == {"userActiveInStudy"}


def test_a_removed_record_can_come_back_as_it_was(registry: DemoRegistry) -> None:
    """With its old date, so that no date tells."""
    record = registry.rows("records", STUDY)[-1]
    with watched(registry) as difference:
        with registry.edit(STUDY) as edit:
            edit.records.remove(record["recordId"])
        registry.insert_row("records", STUDY, record)
    assert "records" not in difference


def test_a_new_subject_has_visits_and_records(registry: DemoRegistry) -> None:
    site, interval = (registry.rows(name, STUDY)[0] for name in ("sites", "intervals"))
    with watched(registry) as difference, registry.edit(STUDY) as edit:
        subject = edit.subjects.add(site["siteId"])
        visit = edit.visits.add(subject["subjectId"], interval["intervalId"], "2025-07-02")
        edit.visits.change(visit["visitId"], visitDate="2025-07-02")
        edit.records.add("VS", subject["subjectId"], {}, visit_id=visit["visitId"])
        for table, row_id in ((edit.subjects, "subjectId"), (edit.visits, "visitId")):
            with pytest.raises(ValueError, match="has "):
                table.remove(visit[row_id])
    assert {name: len(rows) for name, rows in difference.items()} == {
        "subjects": 1,
        "visits": 1,
        "records": 1,
        "recordRevisions": 1,
    }
    assert list(subject) == [n for n in registry.rows("subjects", STUDY)[1] if n in subject]


def test_an_edit_that_fails_changes_nothing(registry: DemoRegistry) -> None:
    record = registry.rows("records", STUDY)[0]
    failing = pytest.raises(KeyError, match="no row 0")
    with watched(registry) as difference, failing, registry.edit(STUDY) as edit:
        edit.records.change(record["recordId"], {})
        edit.records.delete(0)
    assert difference == {}


def test_an_edit_sees_its_own_changes_and_others_do_not_before_its_end(
    registry: DemoRegistry,
) -> None:
    record = first(registry, "records", deleted=False)
    with registry.edit(STUDY) as edit:
        edit.records.delete(record["recordId"])
        assert edit.row("records", record["recordId"])["deleted"] is True
        assert registry.table("records", STUDY).get(record["recordId"]) == record
    new = registry.table("records", STUDY).get(record["recordId"])
    assert new is not None
    assert new["deleted"] is True


def test_an_edit_within_an_edit_of_the_study_is_refused(registry: DemoRegistry) -> None:
    """It would wait for itself."""
    with registry.edit(STUDY), pytest.raises(RuntimeError, match="is open in this thread"):
        registry.live_day()
    with registry.edit(STUDY) as edit:
        edit.records.change(edit.records.find()["recordId"], {})


def test_a_change_of_other_rows_during_an_edit_is_kept(registry: DemoRegistry) -> None:
    one, other = registry.rows("records", STUDY)[:2]
    with registry.edit(STUDY) as edit:
        edit.records.change(one["recordId"], {})
        registry.update_row("records", STUDY, other["recordId"], recordStatus="Meanwhile")
    now = registry.table("records", STUDY).get(other["recordId"])
    assert now is not None
    assert now["recordStatus"] == "Meanwhile"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda e: e.records.change(0, {}), KeyError, "no row 0"),
        (lambda e: e.records.change(_event(e), {"AETRM": ""}), KeyError, "no variable AETRM"),
        (lambda e: e.records.add("NOPE", e.subjects.find()["subjectId"], {}), KeyError, "no form"),
        (lambda e: e.records.add("AE", 0, {}), KeyError, "subjects has no row 0"),
        (
            lambda e: e.records.delete(e.records.find(deleted=True)["recordId"]),
            ValueError,
            "already",
        ),
        (lambda e: e.records.find(formKey="NOPE"), KeyError, "no row with"),
        (lambda e: e.queries.open(_event(e), "PULSE", ""), KeyError, "no answer PULSE"),
        (lambda e: e.sites.change(e.sites.find()["siteId"], siteId=1), ValueError, "siteId"),
        (lambda e: e.sites.change(e.sites.find()["siteId"], size=1), ValueError, "size"),
        (lambda e: e.sites.remove(e.subjects.find()["siteId"]), ValueError, "has subjects"),
        (
            lambda e: e.visits.restore(e.visits.find(deleted=False)["visitId"]),
            ValueError,
            "not del",
        ),
        (lambda e: e.variables.add("AE", "AETERM"), ValueError, "already has"),
        (lambda e: e.variables.add("NOPE", "A"), KeyError, "no form NOPE"),
        (lambda e: e.forms.add("AE", "Again"), ValueError, "already has"),
    ],
)
def test_what_the_account_would_refuse_is_refused(
    registry: DemoRegistry,
    change: Callable[[StudyEdit], object],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message), registry.edit(STUDY) as edit:
        change(edit)


def _event(edit: StudyEdit) -> int:
    return int(edit.records.find(formKey="AE")["recordId"])


def test_an_unknown_user_or_a_date_without_a_zone_is_refused(registry: DemoRegistry) -> None:
    naive = datetime(2025, 7, 1)  # noqa: DTZ001 - what is refused
    with pytest.raises(KeyError, match="no user nobody"), registry.edit(STUDY, user="nobody"):
        pass
    with pytest.raises(ValueError, match="time zone"), registry.edit(STUDY, at=naive):
        pass
    with pytest.raises(ValueError, match="time zone"):
        registry.clock.set(naive)


def test_the_clock_gives_each_edit_a_date_of_its_own_and_steps_back(registry: DemoRegistry) -> None:
    record = registry.rows("records", STUDY)[0]["recordId"]

    def edited(at: datetime | None = None) -> str:
        with registry.edit(STUDY, at=at) as edit:
            return str(edit.records.change(record, {})["dateModified"])

    assert [edited(), edited()] == ["2025-07-01 08:00:00", "2025-07-01 08:00:01"]
    registry.clock.tick = timedelta(0)
    registry.clock.advance(timedelta(minutes=-30))
    assert [edited(), edited()] == ["2025-07-01 07:30:02"] * 2
    registry.clock.late = timedelta(hours=2)  # committed now, and begun two hours ago
    assert edited() == "2025-07-01 05:30:02"
    assert edited(datetime(2024, 1, 1, tzinfo=UTC)) == "2024-01-01 00:00:00"
    assert registry.clock.text == "2025-07-01 07:30:02"
