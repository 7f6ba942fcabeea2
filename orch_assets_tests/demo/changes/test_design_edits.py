"""What edits of subjects, visits, users and a study's design change, and what they leave alone."""

from typing import Any

import pytest

from orch_assets.demo import DemoRegistry
from orch_assets_tests.demo.changes.conftest import STUDY, fields, first, ids, watched


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
