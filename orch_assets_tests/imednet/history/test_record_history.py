"""``record_changes``: every change between published versions of ``records``, field by field."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from orch_assets_tests.imednet.history.stored_study import STUDY, StoredStudy

NOW = datetime(2025, 7, 1, 8, tzinfo=UTC)


def started(study: StoredStudy) -> StoredStudy:
    study.read()
    study.compare()
    return study


def test_the_first_version_gives_no_rows(study):
    started(study)
    assert study.all_changes() == []


def changed(study: StoredStudy, form: str = "VS", **answers: object) -> int:
    """Change answers of the first record of a form, in an edit of its own; return its ID."""
    with study.registry.edit(STUDY) as edit:
        record_id: int = edit.records.find(formKey=form)["recordId"]
        edit.records.change(record_id, answers, reason=f"reason for {form}")
    return record_id


def brief(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (r["variable"] or r["attribute"], r["old_value"], r["new_value"], r["kind"]) for r in rows
    ]


def blind(study: StoredStudy, name: str) -> None:
    for row in study.registry.rows("variables", STUDY):
        if row["variableName"] == name:
            study.registry.update_row("variables", STUDY, row["variableId"], blinded=True)


def test_a_changed_answer_is_one_row_with_who_when_and_why(study):
    started(study)
    before = study.open.history("records").current
    record_id = changed(study, PULSE="80")
    study.read()
    study.compare()
    (row,) = study.all_changes()
    record = next(r for r in study.registry.rows("records", STUDY) if r["recordId"] == record_id)
    revision = study.registry.rows("recordRevisions", STUDY)[-1]
    after = study.open.history("records").current
    assert row == {
        "study_key": STUDY,
        "record_id": record_id,
        "form_id": record["formId"],
        "form_key": "VS",
        "site_id": record["siteId"],
        "subject_id": record["subjectId"],
        "subject_key": record["subjectKey"],
        "interval_id": record["intervalId"],
        "visit_id": record["visitId"],
        "attribute": "record_data",
        "variable": "PULSE",
        "old_value": '"79"',
        "new_value": '"80"',
        "kind": "changed",
        "date_modified": NOW,
        "revision_ids": [revision["recordRevisionId"]],
        "attribution": "single",
        "user": revision["user"],
        "role": revision["role"],
        "reason_for_change": "reason for VS",
        "from_version": before.version,
        "to_version": after.version,
        "published_at": after.published_at,
    }


def test_of_two_edits_nobody_can_say_who_changed_what(study):
    started(study)
    changed(study, PULSE="80")
    changed(study, TEMP=37.1)
    study.read()
    study.compare()
    rows = study.all_changes()
    revisions = [r["recordRevisionId"] for r in study.registry.rows("recordRevisions", STUDY)]
    assert {row["variable"] for row in rows} == {"PULSE", "TEMP"}
    assert [row["revision_ids"] for row in rows] == [revisions[-2:]] * 2
    unknown = {(r["attribution"], r["user"], r["role"], r["reason_for_change"]) for r in rows}
    assert unknown == {("ambiguous", None, None, None)}


def test_a_revision_that_was_read_before_its_change_still_counts(study):
    """Somebody saves while a run is between the two tables."""
    study.read("records")
    changed(study, PULSE="80")
    study.read("record_revisions")
    study.compare()
    changed(study, TEMP=37.1)
    study.read()
    study.compare()
    assert {(r["variable"], r["attribution"]) for r in study.rows()} == {
        ("PULSE", "ambiguous"),
        ("TEMP", "ambiguous"),
    }


def test_a_value_that_changes_without_a_revision_is_attributed_to_nobody(study):
    started(study)
    row = study.registry.rows("records", STUDY)[0]
    study.registry.update_row("records", STUDY, row["recordId"], recordStatus="Signed")
    study.read()
    study.compare()
    assert {(r["attribution"], *r["revision_ids"]) for r in study.rows()} == {("none",)}


def test_nobody_is_said_to_have_removed_a_record(study):
    """Its removal has no revision, so the revision that is there is of an earlier save."""
    started(study)
    record_id = changed(study, PULSE="80")
    with study.registry.edit(STUDY) as edit:
        edit.records.remove(record_id)
    rows = _next(study)
    assert {(row["kind"], row["attribution"], row["user"]) for row in rows} == {
        ("vanished", "ambiguous", None)
    }


def test_a_clock_that_was_put_back_makes_no_revision_certain(study):
    started(study)
    changed(study, PULSE="80")
    assert [row["attribution"] for row in _next(study)] == ["single"]
    study.registry.clock.set(NOW - timedelta(minutes=30))
    changed(study, PULSE="81")
    (row,) = _next(study)
    revision = study.registry.rows("recordRevisions", STUDY)[-1]["recordRevisionId"]
    assert (row["attribution"], revision in row["revision_ids"]) == ("ambiguous", True)


def test_a_record_is_added_deleted_restored_and_vanishes(study):
    started(study)
    with study.registry.edit(STUDY) as edit:
        subject = edit.subjects.find()["subjectId"]
        added = edit.records.add("VS", subject, {"PULSE": "70"})["recordId"]
    seen = [_next(study)]
    for action in ("delete", "restore", "remove"):
        with study.registry.edit(STUDY) as edit:
            getattr(edit.records, action)(added)
        seen.append(_next(study))
    assert all(row["record_id"] == added for rows in seen for row in rows)
    first, second, third, last = map(brief, seen)
    assert ("record_id", None, str(added), "added") in first
    assert ("PULSE", None, '"70"', "added") in first
    assert {kind for *_, kind in first} == {"added"}
    assert second == [("deleted", "false", "true", "deleted")]
    assert third == [("deleted", "true", "false", "restored")]
    assert sorted(last) == sorted((name, new, None, "vanished") for name, _, new, _ in first)


def _next(study: StoredStudy) -> list[dict[str, Any]]:
    """Return the rows that the next run adds."""
    known = len(study.rows())
    study.read()
    study.compare()
    return study.rows()[known:]


def test_a_record_saved_without_a_change_is_one_row_for_its_date(study):
    started(study)
    changed(study)
    study.read()
    study.compare()
    assert [(r["attribute"], r["attribution"]) for r in study.rows()] == [
        ("date_modified", "single")
    ]


def test_a_withheld_value_is_in_the_restricted_table_alone(study):
    started(study)
    changed(study, "RAND", KITNO="planted-1")
    study.read()
    study.compare()
    ((name, _, new, kind),) = brief(study.rows(withheld=True))
    assert (name, new, kind) == ("KITNO", '"planted-1"', "changed")
    assert study.rows(withheld=True)[0]["reason_for_change"] == "reason for RAND"
    (row,) = study.rows()  # the date, which is open
    assert (row["attribute"], row["reason_for_change"]) == ("date_modified", None)


def test_the_counts_are_those_of_the_open_table(study):
    """A reader compares them with its number of rows."""
    started(study)
    counts = []
    for value in ("planted-1", "planted-2"):
        changed(study, "RAND", KITNO=value)
        study.read()
        changes = study.changes().table.refresh.changes
        study.compare()
        counts.append((changes.new, changes.unchanged))
    study.read()
    unchanged = study.changes().table.refresh.changes
    assert counts == [(1, 0), (1, 1)]
    assert (unchanged.new, unchanged.unchanged) == (0, 2) == (0, len(study.rows()))
    assert len(study.rows(withheld=True)) == 2


def test_nothing_is_stored_if_nothing_was_published(study):
    started(study)
    changed(study, PULSE="80")
    study.read()
    study.compare()
    study.read()
    result = study.changes()
    assert (result.table.refresh.unchanged, result.withheld.refresh.unchanged) == (True, True)
    assert [*result.table] == [*result.withheld] == []


def test_every_version_since_the_last_run_is_compared(study):
    started(study)
    for value in ("80", "81", "82"):
        study.registry.clock.advance(timedelta(hours=1))
        changed(study, PULSE=value)
        study.read()
    study.compare()
    steps = [("79", "80"), ("80", "81"), ("81", "82")]
    assert brief(study.rows()) == [
        ("PULSE", f'"{old}"', f'"{new}"', "changed") for old, new in steps
    ]
    rows = study.rows()
    assert {row["attribution"] for row in rows} == {"single"}
    assert len({row["revision_ids"][0] for row in rows}) == 3
    assert [r["to_version"] for r in rows[:-1]] == [r["from_version"] for r in rows[1:]]


def test_versions_that_retention_removed_are_bridged(study):
    started(study)
    for value in ("80", "81"):
        changed(study, PULSE=value)
        study.read()
    for store in (study.open, study.restricted):
        store.retain(keep_last=1)
    study.compare()
    (row,) = study.rows()
    assert (row["old_value"], row["new_value"], row["attribution"]) == ('"79"', '"81"', "ambiguous")


def test_a_version_that_was_removed_before_it_was_compared_is_told(study):
    started(study)
    changed(study, PULSE="80")
    study.read()
    study.compare()
    known = study.rows()
    study.open.delete("records", history=True)
    changed(study, PULSE="81")
    study.read()
    study.compare()
    assert study.rows()[:-1] == known
    (row,) = study.rows()[-1:]
    assert (row["kind"], row["record_id"]) == ("unknown", None)
    assert row["to_version"] == study.open.history("records").version


def test_a_version_that_is_damaged_before_it_was_compared_is_told(study, tmp_path):
    started(study)
    version = study.open.history("records").version
    (file,) = [each for each in (tmp_path / "open").rglob(version) if each.is_file()]
    file.chmod(0o600)
    file.write_bytes(b"damaged")
    changed(study, PULSE="80")
    study.read()
    study.compare()
    assert [row["kind"] for row in study.rows()] == ["unknown"]
    changed(study, PULSE="81")
    study.read()
    study.compare()
    assert [row["kind"] for row in study.rows()] == ["unknown", "changed"]


def test_a_variable_that_becomes_blinded_leaves_the_open_table(study):
    started(study)
    changed(study, PULSE="planted-1")
    changed(study, "DM", SEX="planted-2")
    study.read()
    study.compare()
    moved = [row for row in study.rows() if row["variable"] == "PULSE"]
    assert "planted-1" in str(study.rows())
    blind(study, "PULSE")
    study.read()
    study.compare()
    assert "planted-1" not in str(study.rows())
    assert "planted-2" in str(study.rows())
    assert study.rows(withheld=True) == moved  # that it moved is no change


def test_a_value_that_changes_while_it_becomes_blinded_is_withheld(study):
    started(study)
    old = next(iter(changed_from(study, "PULSE")))
    changed(study, PULSE="planted-1")
    blind(study, "PULSE")
    study.read()
    study.compare()
    assert brief(study.rows(withheld=True)) == [("PULSE", old, '"planted-1"', "changed")]
    assert "planted" not in str(study.rows())
    assert old not in str(study.rows())


def changed_from(study: StoredStudy, name: str) -> Iterator[str]:
    for fields in study.fields().values():
        if ("record_data", name) in fields:
            yield fields["record_data", name]


def test_a_reason_on_a_form_that_is_no_longer_open_is_withheld(study):
    started(study)
    changed(study, PULSE="80")
    study.read()
    study.compare()
    blind(study, "TEMP")
    study.read()
    study.compare()
    (row,) = study.rows()
    assert (row["variable"], row["reason_for_change"]) == ("PULSE", None)


def test_a_run_killed_between_its_two_commits_is_made_again(study):
    started(study)
    changed(study, "RAND", KITNO="K-1")
    study.read()
    result = study.changes()
    study.restricted.publish(result.withheld, "record_changes")
    changed(study, "RAND", KITNO="K-2")
    study.read()
    study.compare()
    assert [(old, new) for _, old, new, _ in brief(study.rows(withheld=True))][1:] == [
        ('"K-1"', '"K-2"')
    ]
    assert [row["new_value"] for row in study.rows(withheld=True)] == ['"K-1"', '"K-2"']
    assert len(study.rows()) == 2


def test_another_account_begins_a_new_table(study):
    """Somebody replaced the tables of one account by those of another with the same study keys."""
    started(study)
    changed(study, PULSE="80")
    study.read()
    study.compare()
    records = study.open.download_table("records")
    study.open.publish(records, "records", state={"registry": "uat", "study": "1"})
    study.compare()
    assert len(study.rows()) == 1
    for each in ("81", "82"):
        changed(study, PULSE=each)
        study.read("records")
        records = study.open.download_table("records")
        study.open.publish(records, "records", state={"registry": "prod", "study": "1"})
    study.compare()
    assert brief(study.rows()) == [("PULSE", '"81"', '"82"', "changed")]


def test_a_withheld_part_that_somebody_deleted_says_so(study):
    started(study)
    changed(study, "RAND", KITNO="K-1")
    study.read()
    study.compare()
    study.restricted.delete("record_changes")
    study.compare()
    (row,) = study.rows(withheld=True)
    assert (row["kind"], row["to_version"]) == ("unknown", study.open.history("records").version)
    assert len(study.rows()) == 1
    assert study.changes().withheld.refresh.unchanged


def test_the_metadata_say_what_was_compared(study):
    study.read()
    reasons = [study.changes().table.refresh.changes.reason]
    study.compare()
    reasons.append(study.changes().table.refresh.changes.reason)
    for value in ("80", "81"):
        changed(study, PULSE=value)
        study.read()
    reasons.append(study.changes().table.refresh.changes.reason)
    assert reasons == [
        "there is no earlier version to compare with",
        "nothing was published since the last comparison",
        "2 versions compared",
    ]
