"""Changes to subjects.

What the API's documents leave open is assumed here: a deleted subject's visits and records are
deleted with it, each with its own date and revision, and come back with it.
"""

from orch_assets.demo.changes.record_edits import RecordEdits, VisitEdits
from orch_assets.demo.changes.study_draft import StudyDraft
from orch_assets.demo.changes.table_edits import FlaggedEdits
from orch_assets.demo.row_tables import Row


class SubjectEdits(FlaggedEdits):
    """Changes to ``subjects``, such as ``change(subject_id, subjectStatus="Completed")``."""

    name = "subjects"

    def __init__(self, draft: StudyDraft, records: RecordEdits, visits: VisitEdits) -> None:
        super().__init__(draft)
        self._records = records
        self._visits = visits

    def add(self, site_id: int, status: str = "Enrolled") -> Row:
        """Register a subject at a site, without visits. Return it.

        Raises:
            KeyError: There is no such site.
        """
        site = self._draft.row("sites", site_id)
        subject_id = self._draft.new_id("subjects")
        number = subject_id - self._draft.plan.first_id(5) + 1
        return self._new(
            subjectId=subject_id,
            subjectOid=f"OID-{number}",
            subjectKey=f"{site_id % 100:03d}-{number:03d}",
            subjectStatus=status,
            siteId=site_id,
            siteName=site["siteName"],
            deleted=False,
            enrollmentStartDate=self._draft.stamp,
            keywords=[],
        )

    def delete(self, row_id: object) -> Row:
        """Mark a subject as deleted, with its visits and records. Return the subject.

        Raises:
            KeyError: There is no such subject.
            ValueError: It is deleted already.
        """
        subject = super().delete(row_id)
        for visit in self._draft.related("visits", "subjectId", row_id):
            if not visit["deleted"]:
                self._visits.delete(visit["visitId"])
        for record in self._draft.related("records", "subjectId", row_id):
            if not record["deleted"]:
                self._records.delete(record["recordId"], reason="Subject deleted")
        return subject

    def restore(self, row_id: object) -> Row:
        """Undo :meth:`delete`, with a new date: the subject, and what was deleted with it.

        Raises:
            KeyError: There is no such subject.
            ValueError: It is not deleted.
        """
        deleted = {"deleted": True, "dateModified": self._row(row_id)["dateModified"]}
        subject = super().restore(row_id)
        for visit in self._draft.related("visits", "subjectId", row_id):
            if {key: visit[key] for key in deleted} == deleted:
                self._visits.restore(visit["visitId"])
        for record in self._draft.related("records", "subjectId", row_id):
            if {key: record[key] for key in deleted} == deleted:
                self._records.restore(record["recordId"], reason="Subject restored")
        return subject
