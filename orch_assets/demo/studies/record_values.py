"""A study's records: the forms of every visit that took place, and the log forms."""

import itertools
import random
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from orch_assets.demo.studies.conduct import Attendance, Course, keywords
from orch_assets.demo.studies.design import Design
from orch_assets.demo.studies.form_designs import FormDesign
from orch_assets.demo.studies.further_forms import further_answers, further_forms
from orch_assets.demo.studies.measurements import (
    Answers,
    Patient,
    answers,
    lab_results,
    make_patient,
)
from orch_assets.demo.studies.plans import DATA_CUT, Row, StudyPlan, chance, stamp

_STATUSES = ("Record Complete", "Record Incomplete", "Record Locked", "Record Verified")
_LOGS = ("AE", "CM")


def make_records(plan: StudyPlan, design: Design, courses: list[Course]) -> list[Row]:
    """Create all records, subject by subject."""
    rng = plan.random("records")
    casebook = _Casebook(plan, design, rng)
    for number, course in enumerate(courses, start=1):
        patient = make_patient(rng, course.country, number, course.subject["subjectStatus"])
        for attendance in course.attended:
            for form_key in attendance.interval.forms:
                casebook.scheduled(course, patient, attendance, form_key)
        for form_key in _LOGS:
            for when in _log_dates(rng, course):
                casebook.write(
                    course, form_key, when, answers(design.forms[form_key], rng, patient, when)
                )
    further = plan.random("further records")
    for course, form in itertools.product(courses, further_forms(plan)):
        casebook.repeated(course, form, further_answers(form, further, course.baseline))
    return casebook.rows


def _log_dates(rng: random.Random, course: Course) -> Iterator[datetime]:
    if len(course.attended) < 2:  # noqa: PLR2004 - nothing is logged before randomisation
        return
    for _ in range(rng.choices((0, 1, 2, 3, 5), (30, 25, 20, 15, 10))[0]):
        last_seen = max(attendance.date for attendance in course.attended)
        yield course.baseline + (last_seen - course.baseline) * rng.random()


def _entered(rng: random.Random, when: datetime) -> tuple[datetime, datetime]:
    """Return when a record was first saved, up to three days after the event, and when last."""
    created = min(when + timedelta(seconds=rng.randrange(3 * 86400)), DATA_CUT)
    changed = chance(rng, 0.35)
    return created, min(created + timedelta(days=rng.randint(1, 90)) * changed, DATA_CUT)


class _Casebook:
    """The study's records so far; gives every record its ID and the fields common to all."""

    def __init__(self, plan: StudyPlan, design: Design, rng: random.Random) -> None:
        self.rows: list[Row] = []
        self._plan = plan
        self._design = design
        self._rng = rng

    def scheduled(
        self, course: Course, patient: Patient, attendance: Attendance, form_key: str
    ) -> None:
        """Add the record of a visit's form, and its child records if the form has some."""
        form = self._design.forms[form_key]
        when = attendance.date
        at_visit = {"intervalId": attendance.interval_id, "visitId": attendance.visit_id}
        values = answers(form, self._rng, patient, when)
        parent = self.write(course, form_key, when, values, **at_visit)
        if form.children:
            for result in lab_results(self._rng):
                self.write(
                    course, form_key, when, result, **at_visit, parentRecordId=parent["recordId"]
                )

    def repeated(self, course: Course, form: FormDesign, records: Iterable[Answers]) -> None:
        """Add the records of a form. If it has children, the first record is the others' parent."""
        parent: dict[str, int] = {}
        for values in records:
            row = self.write(course, form.key, course.baseline, values, **parent)
            if form.children and not parent:
                parent = {"parentRecordId": row["recordId"]}

    def write(
        self, course: Course, form_key: str, when: datetime, values: Answers, **ids: int
    ) -> Row:
        """Add one record.

        Args:
            course: The subject's course.
            form_key: The form.
            when: The date of the event that the record describes.
            values: The answers.
            ids: The IDs of visit, interval and parent record, if it has them.
        """
        rng, subject = self._rng, course.subject
        number = len(self.rows) + 1
        created, modified = _entered(rng, when)
        row: Row = {
            "studyKey": self._plan.key,
            "formId": self._design.form_ids[form_key],
            "formKey": form_key,
            "siteId": subject["siteId"],
            "recordId": self._plan.first_id(6) + number - 1,
            "recordOid": f"REC-{number}",
            "recordType": "SUBJECT",
            "recordStatus": rng.choices(_STATUSES, (60, 20, 8, 12))[0],
            "deleted": subject["deleted"] or chance(rng, 0.02),
            "dateCreated": stamp(created),
            "dateModified": stamp(modified),
            "subjectId": subject["subjectId"],
            "subjectOid": subject["subjectOid"],
            "subjectKey": subject["subjectKey"],
            **ids,
            "keywords": keywords(rng, 0.03, created),
            "recordData": {
                "dateCreated": stamp(created),
                "unvnum": str(rng.choices((1, 2), (97, 3))[0]),
                "dateModified": stamp(modified),
                **values,
            },
        }
        self.rows.append(row)
        return row
