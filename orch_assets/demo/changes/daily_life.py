"""A day of a study: plausible edits by its staff, which depend only on a random generator."""

import random
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from orch_assets.demo.changes.review_edits import OPEN, RESPONDED
from orch_assets.demo.changes.study_edit import StudyEdit
from orch_assets.demo.row_tables import Row
from orch_assets.demo.studies.oversight import DICTIONARIES
from orch_assets.demo.studies.plans import chance
from orch_assets.demo.studies.vocabulary import REASONS_FOR_CHANGE

_EDITED, _ADDED, _DELETED = 0.007, 0.002, 0.001  # of the records
_QUERIED = 0.002
_ANSWERED, _CLOSED = 0.15, 0.3  # of the queries that are open, or answered
_CODED, _RECODED = 0.5, 0.002  # of the terms that wait, or are coded
_FINISHED = 0.005  # of the enrolled subjects
_DAY_SECONDS = 86400
_TRIES = 10

Action = Callable[[], object]


def live(edit: StudyEdit, rng: random.Random) -> None:
    """Make a day's edits, beginning at the edit's moment, in the order of their times."""
    day = _Day(edit, rng)
    actions = [*day.of_records(), *day.of_queries(), *day.of_codings(), *day.of_subjects()]
    rng.shuffle(actions)
    start = edit.moment
    for seconds, action in zip(
        sorted(rng.choices(range(_DAY_SECONDS), k=len(actions))), actions, strict=True
    ):
        edit.moment = start + timedelta(seconds=seconds)
        edit.login = None
        action()


class _Day:
    """Chooses what happens on a day. Each row is chosen by one action at most."""

    def __init__(self, edit: StudyEdit, rng: random.Random) -> None:
        self._edit = edit
        self._rng = rng
        self._records = [
            row
            for row in edit.rows("records").values()
            if not row["deleted"] and row["recordStatus"] != "Record Locked"
        ]
        self._of_form = defaultdict(list)
        for row in self._records:
            self._of_form[row["formKey"]].append(row)
        self._staff = [
            user["login"]
            for user in edit.rows("users").values()
            if user["roles"][0]["type"] == "SITE" and user["userActiveInStudy"]
        ]
        self._variables = {
            (row["formKey"], row["variableName"])
            for row in edit.rows("variables").values()
            if not (row["deleted"] or row["disabled"] or row.get("blinded"))
        }

    def of_records(self) -> list[Action]:
        """Return the edits, additions, deletions and new queries of records."""
        all_records = len(self._edit.rows("records"))
        edited, added, deleted, queried = (
            self._count(share, all_records) for share in (_EDITED, _ADDED, _DELETED, _QUERIED)
        )
        chosen = self._sample(self._records, edited + deleted + queried)
        subjects = [row for row in self._edit.rows("subjects").values() if not row["deleted"]]
        templates = [row for row in self._records if not {"visitId", "parentRecordId"} & row.keys()]
        new = self._sample(templates, added) if subjects else []
        return [
            *(self._action(self._change, row) for row in chosen[:edited]),
            *(self._action(self._delete, row) for row in chosen[edited : edited + deleted]),
            *(self._action(self._ask, row) for row in chosen[edited + deleted :]),
            *(self._action(self._add, row, self._rng.choice(subjects)) for row in new),
        ]

    def of_queries(self) -> list[Action]:
        """Return the answers to open queries, and the ends of answered ones."""
        actions = []
        for query in self._edit.rows("queries").values():
            status, query_id = query["queryComments"][-1]["annotationStatus"], query["annotationId"]
            if status == OPEN and chance(self._rng, _ANSWERED):
                actions.append(self._action(self._edit.queries.answer, query_id, "Corrected."))
            elif status == RESPONDED and chance(self._rng, _CLOSED):
                actions.append(self._action(self._edit.queries.close, query_id))
        return actions

    def of_codings(self) -> list[Action]:
        """Return the codings of terms that wait, and of some that are coded already."""
        codings = list(self._edit.rows("codings").values())
        coded = {(row["recordId"], row["variable"]) for row in codings}
        actions = [
            self._action(self._code, row["recordId"], variable)
            for row in self._records
            for variable in DICTIONARIES
            if variable in row["recordData"]
            and (row["recordId"], variable) not in coded
            and chance(self._rng, _CODED)
        ]
        again = self._sample(codings, self._count(_RECODED, len(codings)))
        return actions + [self._action(self._recode, row["codingId"]) for row in again]

    def of_subjects(self) -> list[Action]:
        """Return the ends of some subjects' participation."""
        return [
            self._action(
                self._edit.subjects.change,
                row["subjectId"],
                subjectStatus=self._rng.choice(("Completed", "Withdrawn")),
            )
            for row in self._edit.rows("subjects").values()
            if row["subjectStatus"] == "Enrolled" and chance(self._rng, _FINISHED)
        ]

    def _change(self, record: Row) -> None:
        reason = self._rng.choice(REASONS_FOR_CHANGE)
        self._edit.login = self._rng.choice(self._staff)
        self._edit.records.change(record["recordId"], self._new_answer(record), reason=reason)

    def _new_answer(self, record: Row) -> Row:
        """Return another answer to one question: what another record of the form answers."""
        questions = self._questions(record)
        for _ in range(_TRIES if questions else 0):
            other = self._rng.choice(self._of_form[record["formKey"]])["recordData"]
            name = self._rng.choice(questions)
            if name in other and other[name] != record["recordData"][name]:
                return {name: other[name]}
        return {}

    def _delete(self, record: Row) -> None:
        self._edit.login = self._rng.choice(self._staff)
        self._edit.records.delete(record["recordId"], reason="Entered in error")

    def _ask(self, record: Row) -> None:
        if questions := self._questions(record):
            name = self._rng.choice(questions)
            self._edit.queries.open(record["recordId"], name, "Please check / bitte prüfen.")

    def _add(self, template: Row, subject: Row) -> None:
        today = f"{self._edit.moment:%Y-%m-%d}"
        data = template["recordData"]
        answers = {name: _dated(data[name], today) for name in self._questions(template)}
        self._edit.login = self._rng.choice(self._staff)
        self._edit.records.add(template["formKey"], subject["subjectId"], answers)

    def _code(self, record_id: int, variable: str) -> None:
        term = self._edit.row("records", record_id)["recordData"].get(variable)
        _, _, codes = DICTIONARIES[variable]
        if term in codes:
            self._edit.codings.code(record_id, variable, codes[term])

    def _recode(self, coding_id: int) -> None:
        if coding_id in self._edit.rows("codings"):  # else its term changed earlier in the day
            variable = self._edit.row("codings", coding_id)["variable"]
            codes = sorted(set(DICTIONARIES[variable][2].values()))
            self._edit.codings.change(coding_id, self._rng.choice(codes))

    def _questions(self, record: Row) -> list[str]:
        form_key = record["formKey"]
        return [name for name in record["recordData"] if (form_key, name) in self._variables]

    def _count(self, share: float, total: int) -> int:
        """Return that share of the total; its fraction is the chance of one more."""
        whole, fraction = divmod(share * total, 1)
        return int(whole) + chance(self._rng, fraction)

    def _sample(self, rows: Sequence[Row], count: int) -> list[Row]:
        return self._rng.sample(rows, min(count, len(rows)))

    def _action(self, do: Callable[..., object], *args: Any, **fields: Any) -> Action:
        return lambda: do(*args, **fields)


def _dated(answer: Any, today: str) -> Any:
    """Return an answer; if it is a full date, return today's."""
    full_date = isinstance(answer, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", answer)
    return today if full_date else answer
