"""Made-up studies are consistent: the endpoints' rows agree with each other."""

from collections import Counter, defaultdict
from typing import Any

import pytest

from orch_assets.demo import DemoRegistry
from orch_assets.demo.read_api import ENDPOINTS, STUDY_ENDPOINTS
from orch_assets.demo.row_tables import Row
from orch_assets.study import check_study_key

KEYS = ["ONC-301", "CARD-202", "DERM-104", "NEURO-410", "ENDO-215", "RESP-112"]


@pytest.fixture(scope="module")
def registry() -> DemoRegistry:
    return DemoRegistry(studies=12, subjects=30)


@pytest.fixture(params=KEYS)
def study(request: pytest.FixtureRequest, registry: DemoRegistry) -> dict[str, list[Row]]:
    return {name: list(registry.rows(name, request.param)) for name in STUDY_ENDPOINTS}


def _by(rows: list[Row], name: str) -> dict[Any, Row]:
    found = {row[name]: row for row in rows}
    assert len(found) == len(rows)
    return found


def test_the_same_seed_gives_the_same_rows(registry: DemoRegistry) -> None:
    again = DemoRegistry(studies=12, subjects=30)
    for name in STUDY_ENDPOINTS:
        assert again.rows(name, "ONC-301") == registry.rows(name, "ONC-301")


def test_another_seed_gives_other_rows(registry: DemoRegistry) -> None:
    other = DemoRegistry(studies=1, subjects=30, seed=8)
    assert other.study_keys() == ["ONC-301"]
    assert other.rows("records", "ONC-301") != registry.rows("records", "ONC-301")


def test_a_study_doesnt_depend_on_how_many_there_are(registry: DemoRegistry) -> None:
    few = DemoRegistry(studies=2, subjects=30)
    assert few.rows("records", "CARD-202") == registry.rows("records", "CARD-202")


def test_rows_are_made_when_they_are_asked_for() -> None:
    registry = DemoRegistry(studies=2, subjects=3)
    registry.rows("sites", "CARD-202")
    assert (registry.made_up("ONC-301"), registry.made_up("CARD-202")) == (False, True)


def test_every_key_is_legal_and_there_is_one_for_every_study() -> None:
    keys = DemoRegistry(studies=300).study_keys()
    assert len(set(keys)) == 300
    assert [check_study_key(key) for key in keys] == keys
    assert keys[:3] == ["ONC-301", "CARD-202", "DERM-104"]


def test_keys_hold_what_breaks_naive_code(registry: DemoRegistry) -> None:
    keys = registry.study_keys()
    assert {"ONC-301", "onc-301"} <= set(keys)
    for character in " &#%Ü":
        assert any(character in key for key in keys)
    assert any(key[0].isdigit() for key in keys)


def test_studies_have_about_as_many_subjects_as_asked_for_and_differ_in_size() -> None:
    registry = DemoRegistry(studies=60, subjects=200)
    sizes = [study.plan.subjects for study in registry._studies.values()]
    assert 170 < sum(sizes) / len(sizes) < 230
    assert min(sizes) < 130
    assert max(sizes) > 300


def test_a_subject_has_some_thirty_records(registry: DemoRegistry) -> None:
    records = sum(len(registry.rows("records", key)) for key in KEYS)
    subjects = sum(len(registry.rows("subjects", key)) for key in KEYS)
    assert 20 < records / subjects < 40


def test_no_subjects_are_no_rows_of_theirs() -> None:
    registry = DemoRegistry(studies=1, subjects=0)
    rows = {name: len(registry.rows(name, "ONC-301")) for name in STUDY_ENDPOINTS}
    empty = {"subjects", "visits", "records", "recordRevisions", "codings", "queries"}
    assert {name for name, count in rows.items() if count == 0} == empty


def test_ids_are_unique_in_the_registry(registry: DemoRegistry) -> None:
    for name, endpoint in STUDY_ENDPOINTS.items():
        ids = [row[endpoint.id] for key in KEYS for row in registry.rows(name, key)]
        assert len(ids) == len(set(ids)), name


def test_rows_say_their_study(registry: DemoRegistry) -> None:
    for name in STUDY_ENDPOINTS:
        if name != "users":
            assert {row["studyKey"] for row in registry.rows(name, "KARDIO-Ü2")} == {"KARDIO-Ü2"}


def test_variables_belong_to_forms(study: dict[str, list[Row]]) -> None:
    forms = _by(study["forms"], "formId")
    for variable in study["variables"]:
        form = forms[variable["formId"]]
        assert (variable["formKey"], variable["formName"]) == (form["formKey"], form["formName"])


def test_intervals_name_forms_and_variables(study: dict[str, list[Row]]) -> None:
    forms = {(form["formId"], form["formKey"], form["formName"]) for form in study["forms"]}
    items = {(each["formName"], each["variableName"]) for each in study["variables"]}
    for interval in study["intervals"]:
        assert {tuple(form.values()) for form in interval["forms"]} <= forms
        assert (interval["actualDateForm"], interval["actualDate"]) in items
        if interval["windowCalculationForm"]:
            window = (interval["windowCalculationForm"], interval["windowCalculationDate"])
            assert window in items


def test_subjects_belong_to_sites(study: dict[str, list[Row]]) -> None:
    sites = _by(study["sites"], "siteId")
    assert study["subjects"]
    for subject in study["subjects"]:
        assert sites[subject["siteId"]]["siteName"] == subject["siteName"]
    assert len({subject["subjectKey"] for subject in study["subjects"]}) == len(study["subjects"])


def test_visits_follow_the_schedule(study: dict[str, list[Row]]) -> None:
    intervals, subjects = _by(study["intervals"], "intervalId"), _by(study["subjects"], "subjectId")
    for visit in study["visits"]:
        interval, subject = intervals[visit["intervalId"]], subjects[visit["subjectId"]]
        assert visit["intervalName"] == interval["intervalName"]
        assert not interval["disabled"]
        assert visit["subjectKey"] == subject["subjectKey"]
        assert visit["startDate"] <= (visit["dueDate"] or visit["startDate"]) <= visit["endDate"]
        assert visit["dateCreated"] <= visit["dateModified"]
        if "visitDate" in visit:
            assert visit["startDate"] <= visit["visitDate"] <= visit["endDate"]


def test_a_status_agrees_with_the_visits(study: dict[str, list[Row]]) -> None:
    attended = defaultdict(set)
    for visit in study["visits"]:
        if "visitDate" in visit:
            attended[visit["subjectId"]].add(visit["intervalName"])
    for subject in study["subjects"]:
        names, status = attended[subject["subjectId"]], subject["subjectStatus"]
        assert "Screening" in names
        assert (names == {"Screening"}) == (status == "Screen Failed"), status
        assert ("enrollmentStartDate" in subject) == (status != "Screen Failed")
        assert ("End of Study" in names) == (status in {"Completed", "Withdrawn"}), status


def test_records_belong_to_subjects_visits_and_forms(study: dict[str, list[Row]]) -> None:
    subjects, forms = _by(study["subjects"], "subjectId"), _by(study["forms"], "formId")
    visits, intervals = _by(study["visits"], "visitId"), _by(study["intervals"], "intervalId")
    for record in study["records"]:
        subject = subjects[record["subjectId"]]
        for name in ("subjectKey", "subjectOid", "siteId"):
            assert record[name] == subject[name]
        assert record["formKey"] == forms[record["formId"]]["formKey"]
        assert record["deleted"] or not subject["deleted"]
        assert record["dateCreated"] <= record["dateModified"]
        assert ("visitId" in record) == ("intervalId" in record)
        if "visitId" in record:
            visit, interval = visits[record["visitId"]], intervals[record["intervalId"]]
            assert "visitDate" in visit
            assert visit["intervalId"] == record["intervalId"]
            assert visit["subjectId"] == record["subjectId"]
            assert record["formKey"] in {form["formKey"] for form in interval["forms"]}


def test_child_records_have_a_parent_at_the_same_visit(study: dict[str, list[Row]]) -> None:
    records = _by(study["records"], "recordId")
    children = [record for record in records.values() if "parentRecordId" in record]
    assert children
    for child in children:
        parent = records[child["parentRecordId"]]
        assert "parentRecordId" not in parent
        assert {child[name] == parent[name] for name in ("formId", "visitId", "subjectId")} == {
            True
        }


def test_record_data_has_the_names_of_its_forms_variables(study: dict[str, list[Row]]) -> None:
    names = defaultdict(set)
    for variable in study["variables"]:
        names[variable["formKey"]].add(variable["variableName"])
    for record in study["records"]:
        system = {"dateCreated", "dateModified", "unvnum"}
        assert system < set(record["recordData"]) <= system | names[record["formKey"]]
        assert record["recordData"]["dateModified"] == record["dateModified"]


def test_every_record_has_its_revisions(study: dict[str, list[Row]]) -> None:
    revisions = defaultdict(list)
    for revision in study["recordRevisions"]:
        revisions[revision["recordId"]].append(revision)
    logins = {user["login"] for user in study["users"]}
    assert revisions.keys() == {record["recordId"] for record in study["records"]}
    for record in study["records"]:
        first, *later = revisions[record["recordId"]]
        last = [first, *later][-1]
        assert first["dateCreated"] == record["dateCreated"]
        assert last["dateCreated"] == record["dateModified"]
        for name in ("recordStatus", "deleted", "subjectKey", "siteId", "formKey", "recordOid"):
            assert last[name] == record[name]
        assert [row["recordRevision"] for row in (first, *later)] == list(range(1, len(later) + 2))
        assert first["reasonForChange"] == ""
        assert all(row["reasonForChange"] for row in later)
        assert {row["user"] for row in (first, *later)} <= logins


def test_codings_are_of_the_records_values(study: dict[str, list[Row]]) -> None:
    records, forms = _by(study["records"], "recordId"), _by(study["forms"], "formId")
    people = {f"{user['firstName']} {user['lastName']}" for user in study["users"]}
    assert {coding["dictionaryName"] for coding in study["codings"]} == {"MedDRA", "WHODrug"}
    for coding in study["codings"]:
        record = records[coding["recordId"]]
        assert coding["value"] == record["recordData"][coding["variable"]]
        for name in ("subjectId", "subjectKey", "siteId", "formId", "formKey"):
            assert coding[name] == record[name]
        assert coding["formName"] == forms[coding["formId"]]["formName"]
        assert coding["codedBy"] in people
        assert coding["code"]


def test_queries_are_about_records_or_subjects(study: dict[str, list[Row]]) -> None:
    records, subjects = _by(study["records"], "recordId"), _by(study["subjects"], "subjectId")
    logins = {user["login"] for user in study["users"]}
    for query in study["queries"]:
        assert subjects[query["subjectId"]]["subjectKey"] == query["subjectKey"]
        comments = query["queryComments"]
        assert [each["sequence"] for each in comments] == list(range(1, len(comments) + 1))
        dates = [each["date"] for each in comments]
        assert (dates[0], dates[-1]) == (query["dateCreated"], query["dateModified"])
        assert dates == sorted(dates)
        assert {each["user"] for each in comments} <= logins
        assert ("recordId" in query) == (query["annotationType"] == "question")
        if "recordId" in query:
            assert query["variable"] in records[query["recordId"]]["recordData"]
    closed = Counter(query["queryComments"][-1]["closed"] for query in study["queries"])
    assert closed.keys() == {True, False}


def test_nothing_happens_after_the_data_cut(study: dict[str, list[Row]]) -> None:
    for rows in study.values():
        for row in rows:
            assert row.get("dateModified", "") <= "2025-06-30 12:00:00"
            assert row.get("dateCoded", "") <= "2025-06-30 12:00:00"


def test_variables_are_blinded_or_not_or_nobody_knows(study: dict[str, list[Row]]) -> None:
    flags = {row["variableName"]: row.get("blinded", "absent") for row in study["variables"]}
    assert {name for name, flag in flags.items() if flag is True} == {"ARM", "KITNO", "DSUNBL"}
    assert {name for name, flag in flags.items() if flag is None} == {"LBCLSIG"}
    assert {name for name, flag in flags.items() if flag == "absent"} == {"EFFASSR"}


def test_values_are_as_untidy_as_real_ones(registry: DemoRegistry) -> None:
    records = [record for key in KEYS for record in registry.rows("records", key)]
    kinds = defaultdict(set)
    for record in records:
        for name, value in record["recordData"].items():
            kinds[name].add("empty" if value == "" else type(value).__name__)
    assert kinds["SYSBP"] == {"int", "str", "empty", "NoneType"}
    assert kinds["LBORRES"] == {"str", "float", "empty"}
    assert kinds["PEDESC"] == {"str", "int", "empty"}
    assert (kinds["RACE"], kinds["ICFILE"], kinds["AEONGO"]) == ({"list"}, {"dict"}, {"bool"})
    assert {record["recordData"].get("AESER") for record in records} == {None, "", "No", "Yes"}
    names = {name for record in records for name in record["recordData"]}
    assert {"PEDESC", "PEDesc", "INITIALS"} <= names


def test_every_endpoint_has_deleted_disabled_or_inactive_rows_where_it_can(
    registry: DemoRegistry,
) -> None:
    flags = {
        (name, flag)
        for name in STUDY_ENDPOINTS
        for key in KEYS
        for row in registry.rows(name, key)
        for flag in ("deleted", "disabled")
        if row.get(flag)
    }
    described = {
        (name, field.name)
        for name in STUDY_ENDPOINTS
        for field in ENDPOINTS[name].fields
        if field.name in {"deleted", "disabled"}
    }
    assert flags == described
