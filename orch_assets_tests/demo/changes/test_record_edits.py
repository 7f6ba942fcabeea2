"""What edits of records, codings and queries change, and what they leave alone."""

from datetime import UTC, datetime

import pytest

from orch_assets.demo import DemoRegistry
from orch_assets_tests.demo.changes.conftest import NOW, STUDY, fields, first, ids, watched


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


def test_a_removed_record_can_come_back_as_it_was(registry: DemoRegistry) -> None:
    """With its old date, so that no date tells."""
    record = registry.rows("records", STUDY)[-1]
    with watched(registry) as difference:
        with registry.edit(STUDY) as edit:
            edit.records.remove(record["recordId"])
        registry.insert_row("records", STUDY, record)
    assert "records" not in difference
