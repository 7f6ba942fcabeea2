"""One edit of a study: several changes that become visible together."""

from collections.abc import Mapping
from datetime import datetime

from orch_assets.demo.changes.dictionary_edits import FormEdits, VariableEdits
from orch_assets.demo.changes.record_edits import RecordEdits, VisitEdits
from orch_assets.demo.changes.review_edits import CodingEdits, QueryEdits
from orch_assets.demo.changes.study_draft import StudyDraft
from orch_assets.demo.changes.subject_edits import SubjectEdits
from orch_assets.demo.changes.table_edits import FieldEdits
from orch_assets.demo.row_tables import Table
from orch_assets.demo.studies.plans import StudyPlan


class StudyEdit(StudyDraft):
    """An edit of a study, as ``DemoRegistry.edit`` opens it.

    Each attribute below changes one table, and what depends on it. Rows are those of the API:
    ``edit.rows("records")`` returns them by ID, with the edit's changes.

    Attributes:
        records: Records, with their revisions.
        subjects: Subjects.
        visits: Visits.
        sites: Sites.
        queries: Queries.
        codings: Codings.
        forms: Forms.
        variables: Variables.
        intervals: Intervals of the schedule.
        users: Users; their rows have no dates of their own.
    """

    def __init__(
        self, plan: StudyPlan, tables: Mapping[str, Table], moment: datetime, login: str | None
    ) -> None:
        super().__init__(plan, tables, moment, login)
        self.records = RecordEdits(self)
        self.visits = VisitEdits(self)
        self.subjects = SubjectEdits(self, self.records, self.visits)
        self.sites = FieldEdits(self, "sites")
        self.queries = QueryEdits(self)
        self.codings = CodingEdits(self)
        self.forms = FormEdits(self)
        self.variables = VariableEdits(self)
        self.intervals = FieldEdits(self, "intervals")
        self.users = FieldEdits(self, "users")
