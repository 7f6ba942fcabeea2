"""Any sequence of edits leaves a coherent account, as the API shows it over HTTP."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.demo.changes.study_edit import StudyEdit
from orch_assets.demo.read_api import STUDY_ENDPOINTS
from orch_assets.demo.row_tables import Row
from orch_assets_tests.demo.conftest import Client

DATED = {
    name: field
    for name, endpoint in STUDY_ENDPOINTS.items()
    for field in ("dateModified", "dateCoded", "dateCreated")
    if name not in {"users", "jobs"} and field in endpoint.scalars
}
DATED |= {name: "dateModified" for name in DATED if "dateModified" in STUDY_ENDPOINTS[name].scalars}
DATED["codings"] = "dateCoded"
FILTERED = {
    (name, field)
    for name in DATED
    for field in ("dateModified", "dateCoded", "dateCreated")
    if field in STUDY_ENDPOINTS[name].scalars
}
TERMS = ("Nausea", "Headache", "Fall at home", "not in the dictionary")

choices = st.integers(0, 10**6)


class Account(RuleBasedStateMachine):
    """An account, its edits, and what the API must show after each of them."""

    @initialize(subjects=st.integers(1, 3))
    def start(self, subjects: int) -> None:
        self.registry = DemoRegistry(studies=1, subjects=0)
        self.registry.add_study("S", subjects=subjects)
        self.server = DemoServer(self.registry).start()
        self.client = Client(self.server)
        self.before = self.tables()
        self.seen = {name: set(rows) for name, rows in self.before.items()}
        self.names = 0

    def teardown(self) -> None:
        if hasattr(self, "server"):
            self.client.http.close()
            self.server.stop()

    def tables(self) -> dict[str, dict[Any, Row]]:
        return {name: self.registry.table(name, "S").by_id() for name in STUDY_ENDPOINTS}

    def edit(self) -> Any:
        return self.registry.edit("S")

    def check(
        self,
        moment: datetime,
        *,
        dated: dict[str, set[Any]] | None = None,
        gone: dict[str, set[Any]] | None = None,
    ) -> None:
        """Exactly the rows of ``dated`` moved to the moment, and exactly those of ``gone`` went."""
        after = self.tables()
        dated, gone = dated or {}, gone or {}
        for name, rows in after.items():
            old = self.before[name]
            assert old.keys() - rows.keys() == gone.get(name, set()), name
            new = rows.keys() - old.keys()
            assert not new & (self.seen[name] - old.keys()), f"{name}: an ID is used again"
            self.seen[name] |= new
            if name not in DATED:
                assert rows == old
                continue
            field = DATED[name]
            moved = {i for i in rows if i in new or rows[i][field] != old[i][field]}
            expected = dated.get(name, set())
            assert moved <= expected, name
            assert {rows[i][field] for i in expected} <= {f"{moment:%Y-%m-%d %H:%M:%S}"}, name
        self.check_audit_trail(after, dated.get("records", set()))
        self.before = after

    def check_audit_trail(self, after: dict[str, dict[Any, Row]], changed: set[Any]) -> None:
        old, new = self.before["recordRevisions"], after["recordRevisions"]
        assert {i: new[i] for i in old} == old
        added = [new[i] for i in new if i not in old]
        assert sorted(row["recordId"] for row in added) == sorted(changed)
        revisions = defaultdict(list)
        for row in new.values():
            revisions[row["recordId"]].append(row)
        for record_id, record in after["records"].items():
            numbers = [row["recordRevision"] for row in revisions[record_id]]
            assert numbers == list(range(1, len(numbers) + 1))
            last = revisions[record_id][-1]
            assert (last["deleted"], last["recordStatus"], last["dateCreated"]) == (
                record["deleted"],
                record["recordStatus"],
                record["dateModified"],
            )

    def pick(self, choice: int, endpoint: str, **values: Any) -> Row | None:
        """Return one of the rows with these values; None if there is none."""
        rows = [
            row
            for row in self.before[endpoint].values()
            if all(row.get(name) == value for name, value in values.items())
        ]
        return rows[choice % len(rows)] if rows else None

    def revisions_since(self) -> set[Any]:
        return (
            self.registry.table("recordRevisions", "S").by_id().keys()
            - self.before["recordRevisions"].keys()
        )

    def check_records(self, edit: StudyEdit, *records: int, **dated: set[Any]) -> None:
        gone = self.before["codings"].keys() - self.tables()["codings"].keys()
        revisions = self.revisions_since()
        self.check(
            edit.moment,
            dated={"records": set(records), "recordRevisions": revisions, **dated},
            gone={"codings": set(gone)},
        )

    @rule(choice=choices, term=st.sampled_from(TERMS))
    def change_a_record(self, choice: int, term: str) -> None:
        coding = self.pick(choice, "codings") if choice % 2 else None
        record = self.pick(choice, "records", **_recorded(coding))
        assert record is not None
        names = record["recordData"].keys() - {"dateCreated", "dateModified", "unvnum"}
        name = next((name for name in ("AETERM", "CMTRT") if name in names), min(names))
        waiting = {
            row["codingId"]
            for row in self.before["codings"].values()
            if (row["recordId"], row["variable"]) == (record["recordId"], name)
            and row["value"] != term
        }
        with self.edit() as edit:
            edit.records.change(record["recordId"], {name: term})
        assert self.before["codings"].keys() - self.tables()["codings"].keys() == waiting
        self.check_records(edit, record["recordId"])

    @rule(choice=choices, term=st.sampled_from(TERMS))
    def add_a_record(self, choice: int, term: str) -> None:
        subject = self.pick(choice, "subjects")
        assert subject is not None
        with self.edit() as edit:
            new = edit.records.add("AE", subject["subjectId"], {"AETERM": term})
        self.check_records(edit, new["recordId"])

    @rule(choice=choices)
    def delete_or_restore_a_record(self, choice: int) -> None:
        record = self.pick(choice, "records")
        assert record is not None
        with self.edit() as edit:
            change = edit.records.restore if record["deleted"] else edit.records.delete
            change(record["recordId"])
        self.check_records(edit, record["recordId"])

    @precondition(lambda self: len(self.before["records"]) > 10)
    @rule(choice=choices)
    def remove_a_record(self, choice: int) -> None:
        newest = max(self.before["records"]) if choice % 2 else None
        record = self.pick(choice, "records", **_recorded(self.before["records"].get(newest)))
        assert record is not None
        gone = {
            row["recordId"]
            for row in self.before["records"].values()
            if record["recordId"] in {row["recordId"], row.get("parentRecordId")}
        }
        with self.edit() as edit:
            edit.records.remove(record["recordId"])
        about = {
            name: {i for i, row in self.before[name].items() if row.get("recordId") in gone}
            for name in ("codings", "queries")
        }
        self.check(edit.moment, gone={"records": gone, **about})

    @rule(choice=choices)
    def delete_or_restore_a_subject(self, choice: int) -> None:
        subject = self.pick(choice, "subjects")
        assert subject is not None
        key = {"deleted": subject["deleted"], "subjectId": subject["subjectId"]}
        if subject["deleted"]:
            key["dateModified"] = subject["dateModified"]
        with self.edit() as edit:
            change = edit.subjects.restore if subject["deleted"] else edit.subjects.delete
            change(subject["subjectId"])
        moved = {
            name: {i for i, row in self.before[name].items() if key.items() <= _plain(row).items()}
            for name in ("records", "visits")
        }
        self.check_records(
            edit, *moved["records"], subjects={subject["subjectId"]}, visits=moved["visits"]
        )

    @rule(choice=choices, status=st.sampled_from(["Enrolled", "Withdrawn", "Completed"]))
    def change_a_subjects_status(self, choice: int, status: str) -> None:
        subject = self.pick(choice, "subjects")
        assert subject is not None
        with self.edit() as edit:
            edit.subjects.change(subject["subjectId"], subjectStatus=status)
        self.check(edit.moment, dated={"subjects": {subject["subjectId"]}})

    @rule(choice=choices)
    def go_on_with_a_query(self, choice: int) -> None:
        query = self.pick(choice, "queries")
        with self.edit() as edit:
            if query is None:
                subject = self.pick(choice, "subjects")
                assert subject is not None
                query = edit.queries.open_on_subject(subject["subjectId"], "Please check.")
            elif query["queryComments"][-1]["closed"]:
                edit.queries.reopen(query["annotationId"], "Again.")
            else:
                change = edit.queries.answer if choice % 2 else edit.queries.close
                change(query["annotationId"], "Done.")
        self.check(edit.moment, dated={"queries": {query["annotationId"]}})

    @rule(choice=choices)
    def code_a_term_or_another_code(self, choice: int) -> None:
        coding = self.pick(choice, "codings")
        coded = {row["recordId"] for row in self.before["codings"].values()}
        waiting = [
            row["recordId"]
            for row in self.before["records"].values()
            if row["recordData"].get("AETERM") and row["recordId"] not in coded
        ]
        with self.edit() as edit:
            if waiting and (choice % 2 or coding is None):
                coding = edit.codings.code(waiting[choice % len(waiting)], "AETERM", "10028813")
            elif coding is not None:
                edit.codings.change(coding["codingId"], str(choice))
        self.check(edit.moment, dated={"codings": {coding["codingId"]} if coding else set()})

    @rule(choice=choices)
    def withdraw_a_coding(self, choice: int) -> None:
        if coding := self.pick(choice, "codings"):
            with self.edit() as edit:
                edit.codings.remove(coding["codingId"])
            self.check(edit.moment, gone={"codings": {coding["codingId"]}})

    @rule(choice=choices, how=st.sampled_from(["add", "remove", "delete", "rename", "blind"]))
    def change_the_dictionary(self, choice: int, how: str) -> None:
        variable = self.pick(choice, "variables")
        assert variable is not None
        variable_id, self.names = variable["variableId"], self.names + 1
        with self.edit() as edit:
            if how == "add":
                new = edit.variables.add(variable["formKey"], f"NEW{self.names}")
                variable_id = new["variableId"]
            elif how == "remove":
                edit.variables.remove(variable_id)
            elif how == "delete":
                flag = edit.variables.restore if variable["deleted"] else edit.variables.delete
                flag(variable_id)
            elif how == "rename":
                name = f"{variable['variableName']}_{self.names}"
                edit.variables.rename(variable_id, name, with_answers=True)
            else:
                edit.variables.change(variable_id, blinded=not variable.get("blinded"))
        found = {"variables": {variable_id}}
        self.check(edit.moment, **({"gone": found} if how == "remove" else {"dated": found}))

    @rule(choice=choices, table=st.sampled_from(["sites", "forms"]))
    def rename(self, choice: int, table: str) -> None:
        row = self.pick(choice, table)
        assert row is not None
        singular = table.removesuffix("s")
        with self.edit() as edit:
            getattr(edit, table).change(row[f"{singular}Id"], **{f"{singular}Name": str(choice)})
        self.check(edit.moment, dated={table: {row[f"{singular}Id"]}})
        names = {
            copy[f"{singular}Name"]
            for rows in self.before.values()
            for copy in rows.values()
            if copy.get(f"{singular}Id") == row[f"{singular}Id"] and f"{singular}Name" in copy
        }
        assert names == {str(choice)}

    @rule(minutes=st.integers(-90, 600))
    def step_the_clock(self, minutes: int) -> None:
        self.registry.clock.advance(timedelta(minutes=minutes))

    @rule(minutes=st.integers(0, 90))
    def commit_late(self, minutes: int) -> None:
        self.registry.clock.late = timedelta(minutes=minutes)

    @rule(choice=choices, field=st.sampled_from(sorted(FILTERED)))
    def read_what_changed_since(self, choice: int, field: tuple[str, str]) -> None:
        """The filtered answer is the unfiltered rows whose date is not before the bound."""
        endpoint, date = field
        row = self.pick(choice, endpoint)
        bound = row[date] if row else "2025-01-01 00:00:00"
        params = {
            "filter": f"{date}>={bound.replace(' ', 'T')}Z",
            "sort": f"{date},ASC",
            "size": 500,
        }
        answer = self.client.get(f"/studies/S/{endpoint}", **params).json()
        key = STUDY_ENDPOINTS[endpoint].id
        expected = sorted(
            (row for row in self.before[endpoint].values() if row[date] >= bound),
            key=lambda row: (row[date], row[key]),
        )
        assert answer["data"] == expected
        assert answer["pagination"]["totalElements"] == len(expected)

    @invariant()
    def the_totals_agree(self) -> None:
        for name in ("records", "recordRevisions"):
            answer = self.client.get(f"/studies/S/{name}", size=1).json()
            assert answer["pagination"]["totalElements"] == len(self.before[name])


def _recorded(row: Row | None) -> Row:
    """Return what finds the record that a row is about; what finds any without one."""
    return {"recordId": row["recordId"]} if row else {}


def _plain(row: Row) -> Row:
    return {name: value for name, value in row.items() if not isinstance(value, (list, dict))}


TestAnySequence = Account.TestCase
TestAnySequence.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
