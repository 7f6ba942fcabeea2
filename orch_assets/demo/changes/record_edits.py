"""Changes to records: answers, status, deletion; each with its revision in the audit trail.

What the API's documents leave open is assumed here:

- Every change adds one revision. ``recordRevision`` counts all of them; ``dataRevision`` only those
  that changed answers. The reason of a record's first revision is empty.
- The audit trail only grows. It keeps the revisions of removed records, and says nothing of the
  removal itself.
- A coding of an answer that changes is withdrawn: the new answer waits to be coded.
- Deleting a record leaves its child records, codings and queries as they are. Removing it removes
  them, too.
"""

from collections.abc import Mapping
from typing import Any

from orch_assets.demo.changes.table_edits import FlaggedEdits, TableEdits
from orch_assets.demo.row_tables import Row

REASON = "Data entry error"
"""The reason for a change if none is given."""

_SYSTEM_KEYS = ("dateCreated", "unvnum", "dateModified")
_REVISED = (
    "recordId",
    "recordOid",
    "recordStatus",
    "subjectId",
    "subjectOid",
    "subjectKey",
    "siteId",
    "formKey",
    "intervalId",
    "deleted",
)


class RecordEdits(TableEdits):
    """Changes to ``records``, and with them to ``recordRevisions``."""

    name = "records"

    def change(self, record_id: int, answers: Mapping[str, Any], *, reason: str = REASON) -> Row:
        """Change answers of a record. Return the record.

        Args:
            record_id: The record.
            answers: New values by variable name. Empty to save the record unchanged.
            reason: The reason for the change.

        Raises:
            KeyError: There is no such record, or its form has no such variable.
        """
        record = self._row(record_id)
        self._check(record["formKey"], answers, record["recordData"])
        for coding in self._draft.related("codings", "recordId", record_id):
            name = coding["variable"]
            if name in answers and answers[name] != coding["value"]:
                self._draft.remove("codings", coding["codingId"])
        return self._revise(record, reason, answers=answers)

    def set_status(self, record_id: int, status: str, *, reason: str = REASON) -> Row:
        """Change a record's status, such as ``"Record Locked"``. Return the record."""
        return self._revise(self._row(record_id), reason, recordStatus=status)

    def delete(self, record_id: int, *, reason: str = REASON) -> Row:
        """Mark a record as deleted. Return it.

        Raises:
            KeyError: There is no such record.
            ValueError: It is deleted already.
        """
        return self._flag(record_id, reason, deleted=True)

    def restore(self, record_id: int, *, reason: str = REASON) -> Row:
        """Undo :meth:`delete`, with a new date and revision. Return the record.

        A removed record comes back, with its old date, by ``DemoRegistry.insert_row``.

        Raises:
            KeyError: There is no such record.
            ValueError: It is not deleted.
        """
        return self._flag(record_id, reason, deleted=False)

    def remove(self, row_id: object) -> None:
        """Remove a record completely, with its child records, codings and queries.

        Raises:
            KeyError: There is no such record.
        """
        for child in self._draft.related("records", "parentRecordId", row_id):
            self.remove(child["recordId"])
        for endpoint, key in (("codings", "codingId"), ("queries", "annotationId")):
            for row in self._draft.related(endpoint, "recordId", row_id):
                self._draft.remove(endpoint, row[key])
        super().remove(row_id)

    def add(
        self,
        form_key: str,
        subject_id: int,
        answers: Mapping[str, Any],
        *,
        visit_id: int | None = None,
        parent_id: int | None = None,
        status: str = "Record Complete",
    ) -> Row:
        """Add a record of a form. Return it.

        Args:
            form_key: The form.
            subject_id: The subject.
            answers: The values by variable name.
            visit_id: The visit; None for a form outside the schedule.
            parent_id: The parent record; None if there is none.
            status: The record's status.

        Raises:
            KeyError: There is no such form, subject or visit, or the form has no such variable.
        """
        subject = self._draft.row("subjects", subject_id)
        form = self._draft.form(form_key)
        self._check(form_key, answers, {})
        links: dict[str, Any] = {} if parent_id is None else {"parentRecordId": parent_id}
        if visit_id is not None:
            visit = self._draft.row("visits", visit_id)
            links |= {"visitId": visit_id, "intervalId": visit["intervalId"]}
        copied = {key: subject[key] for key in ("siteId", "subjectId", "subjectOid", "subjectKey")}
        record_id = self._draft.new_id("records")
        record = self._new(
            **copied,
            **links,
            formId=form["formId"],
            formKey=form_key,
            recordId=record_id,
            recordOid=f"REC-{record_id - self._draft.plan.first_id(6) + 1}",
            recordType="SUBJECT",
            recordStatus=status,
            deleted=False,
            keywords=[],
            recordData={
                "dateCreated": self._draft.stamp,
                "unvnum": "1",
                "dateModified": self._draft.stamp,
                **answers,
            },
        )
        self._add_revision(record, "", data=True)
        return record

    def _check(self, form_key: str, answers: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        variables = self._draft.related("variables", "formKey", form_key)
        known = (set(data) | {row["variableName"] for row in variables}) - set(_SYSTEM_KEYS)
        if wrong := sorted(set(answers) - known):
            raise KeyError(f"Form {form_key} has no variable {', '.join(wrong)}.")

    def _flag(self, record_id: int, reason: str, *, deleted: bool) -> Row:
        record = self._row(record_id)
        if record["deleted"] == deleted:
            raise ValueError(f"Record {record_id} is {'already' if deleted else 'not'} deleted.")
        return self._revise(record, reason, deleted=deleted)

    def _revise(
        self, record: Row, reason: str, *, answers: Mapping[str, Any] | None = None, **fields: Any
    ) -> Row:
        data = {
            **record["recordData"],
            **(answers or {}),
            "dateModified": self._draft.stamp,
        }
        record = self._save(record, **fields, recordData=data)
        self._add_revision(record, reason, data=bool(answers))
        return record

    def _add_revision(self, record: Row, reason: str, *, data: bool) -> None:
        earlier = self._draft.related("recordRevisions", "recordId", record["recordId"])
        last = earlier[-1] if earlier else {"recordRevision": 0, "dataRevision": 0}
        user = self._draft.user()
        self._draft.put(
            "recordRevisions",
            {
                "studyKey": record["studyKey"],
                "recordRevisionId": self._draft.new_id("recordRevisions"),
                **{key: record[key] for key in _REVISED if key in record},
                "recordRevision": last["recordRevision"] + 1,
                "dataRevision": last["dataRevision"] + data,
                "role": user["roles"][0]["name"],
                "user": user["login"],
                "reasonForChange": reason,
                "dateCreated": self._draft.stamp,
            },
        )


class VisitEdits(FlaggedEdits):
    """Changes to ``visits``, such as ``change(visit_id, visitDate="2025-07-02")``."""

    name = "visits"

    def add(self, subject_id: int, interval_id: int, due: str) -> Row:
        """Plan a visit of a subject. Return it.

        Args:
            subject_id: The subject.
            interval_id: The interval of the schedule.
            due: The date, such as ``"2025-07-02"``; also the first and last day of its window.

        Raises:
            KeyError: There is no such subject or interval.
        """
        return self._new(
            subjectId=subject_id,
            subjectKey=self._draft.row("subjects", subject_id)["subjectKey"],
            intervalId=interval_id,
            intervalName=self._draft.row("intervals", interval_id)["intervalName"],
            startDate=due,
            endDate=due,
            dueDate=due,
            visitDateForm="Vital Signs",
            visitDateQuestion="VSDAT",
            deleted=False,
        )
