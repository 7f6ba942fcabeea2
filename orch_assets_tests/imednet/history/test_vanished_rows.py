"""``tombstones``: the rows that iMednet no longer returns."""

from typing import Any

from orch_assets_tests.imednet.history.stored_study import STUDY, StoredStudy

TABLES = ("codings", "queries", "records", "subjects")


def read(study: StoredStudy, *names: str) -> list[tuple[Any, ...]]:
    """Read tables, find tombstones, and return all that are known: endpoint, ID and event."""
    study.read(*(names or TABLES))
    study.bury(*TABLES)
    return [(row["endpoint"], row["row_id"], row["event"]) for row in study.rows("tombstones")]


def remove(study: StoredStudy, endpoint: str, key: str) -> dict[str, Any]:
    row: dict[str, Any] = study.registry.rows(endpoint, STUDY)[0]
    study.registry.delete_row(endpoint, STUDY, row[key])
    return row


def test_the_first_versions_give_no_rows(study):
    assert read(study) == []


def test_a_row_that_vanished_is_listed_with_the_last_version_that_held_it(study):
    read(study)
    held = study.open.history("queries").version
    query = remove(study, "queries", "annotationId")
    read(study)
    current = study.open.history("queries").current
    assert study.rows("tombstones") == [
        {
            "endpoint": "queries",
            "row_id": query["annotationId"],
            "event": "vanished",
            "last_version": held,
            "version": current.version,
            "noticed_at": current.published_at,
        }
    ]


def test_a_row_that_returns_is_another_row_and_a_new_one_is_none(study):
    read(study)
    query = remove(study, "queries", "annotationId")
    read(study)
    study.registry.insert_row("queries", STUDY, query)
    with study.registry.edit(STUDY) as edit:
        edit.subjects.add(edit.sites.find()["siteId"])
    name, row_id = "queries", query["annotationId"]
    both = [(name, row_id, "vanished"), (name, row_id, "returned")]
    assert read(study) == both
    study.registry.delete_row("queries", STUDY, row_id)
    assert read(study) == [*both, (name, row_id, "vanished")]


def test_a_row_that_is_marked_as_deleted_is_not_listed(study):
    read(study)
    with study.registry.edit(STUDY) as edit:
        edit.subjects.delete(edit.subjects.find(deleted=False)["subjectId"])
    assert read(study) == []


def test_a_coding_that_becomes_withheld_did_not_vanish(study):
    row = study.registry.rows("codings", STUDY)[0]
    read(study)
    for variable in study.registry.rows("variables", STUDY):
        if variable["variableName"] == row["variable"]:
            study.registry.update_row("variables", STUDY, variable["variableId"], blinded=True)
    open_rows = study.open.history("codings").version
    assert read(study) == []
    assert study.open.history("codings").version != open_rows


def test_a_coding_that_is_withdrawn_is_listed(study):
    read(study)
    coding = remove(study, "codings", "codingId")
    assert read(study) == [("codings", coding["codingId"], "vanished")]


def test_every_version_since_the_last_run_is_compared(study):
    read(study)
    first = remove(study, "queries", "annotationId")
    study.read("queries")
    study.registry.insert_row("queries", STUDY, first)
    last = study.registry.rows("queries", STUDY)[-1]["annotationId"]
    study.registry.delete_row("queries", STUDY, last)
    assert read(study) == [
        ("queries", first["annotationId"], "vanished"),
        ("queries", last, "vanished"),
        ("queries", first["annotationId"], "returned"),
    ]


def test_tables_of_the_same_version_are_not_read(study, monkeypatch):
    read(study)
    read(study)
    opened = []
    monkeypatch.setattr(type(study.open.previous("queries")), "columns", opened.append)
    result = study.bury(*TABLES)
    assert (result.refresh.unchanged, opened) == (True, [])


def test_a_version_that_was_removed_before_it_was_compared_is_told(study):
    read(study)
    study.open.delete("queries", history=True)
    remove(study, "queries", "annotationId")
    assert read(study) == [("queries", None, "unknown")]


def test_another_account_begins_a_new_table(study):
    read(study)
    remove(study, "queries", "annotationId")
    read(study)
    for registry, study_id in (("uat", "1"), ("prod", "1")):
        remove(study, "queries", "annotationId")
        study.read("queries")
        state = {"registry": registry, "study": study_id}
        study.open.publish(study.open.download_table("queries"), "queries", state=state)
    study.bury(*TABLES)
    assert study.rows("tombstones") == []
