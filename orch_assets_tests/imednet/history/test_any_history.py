"""Whatever happens to a study: its changes, applied to its first version, give its last one."""

import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import example, given, settings

from orch_assets.demo import DemoRegistry
from orch_assets_tests.imednet.history.stored_study import STUDY, StoredStudy, applied

EDITS = ("change", "add", "status", "delete", "restore", "remove", "come back", "save")
DICTIONARY = ("blind", "open")
choices = st.integers(0, 10**6)
steps = st.one_of(
    st.tuples(st.sampled_from(EDITS), choices),
    st.tuples(st.sampled_from(DICTIONARY), choices),
    st.tuples(st.sampled_from(("read", "compare")), st.just(0)),
)


class History:
    """A study, what happens to it, and which of its rows are gone."""

    def __init__(self, folder: Path) -> None:
        registry = DemoRegistry(studies=0)
        registry.add_study(STUDY, subjects=2)
        self.study = StoredStudy(folder, registry)
        self.registry = registry
        self.removed: list[dict[str, Any]] = []
        self.study.read()
        self.study.compare()

    def take(self, step: str, choice: int) -> None:
        if step == "read":
            self.study.read()
        elif step == "compare":
            self.study.compare()
        elif step in DICTIONARY:
            rows = self.registry.rows("variables", STUDY)
            row_id = rows[choice % len(rows)]["variableId"]
            self.registry.update_row("variables", STUDY, row_id, blinded=step == "blind")
        elif step == "come back":
            known = {row["recordId"] for row in self.registry.rows("records", STUDY)}
            gone = [row for row in self.removed if row["recordId"] not in known]
            if gone:
                self.registry.insert_row("records", STUDY, gone[choice % len(gone)])
        else:
            self.edit(step, choice)

    def edit(self, step: str, choice: int) -> None:
        rows = [
            row
            for row in self.registry.rows("records", STUDY)
            if row["deleted"] is (step == "restore") or step == "status"
        ]
        if not rows:
            return
        row = rows[choice % len(rows)]
        record_id = row["recordId"]
        with self.registry.edit(STUDY) as edit:
            if step == "add":
                edit.records.add(row["formKey"], row["subjectId"], answers_of(row))
            elif step == "status":
                edit.records.set_status(record_id, f"Status {choice % 3}")
            elif step in {"change", "save"}:
                names = sorted(answers_of(row))[:1] if step == "change" else ()
                edit.records.change(record_id, dict.fromkeys(names, choice))
            else:
                getattr(edit.records, step)(record_id)
        if step == "remove":
            self.removed.append(row)


def answers_of(row: dict[str, Any]) -> dict[str, Any]:
    system = {"dateCreated", "dateModified", "unvnum"}
    return {key: value for key, value in row["recordData"].items() if key not in system}


@settings(max_examples=15, deadline=None)
@given(st.lists(steps, max_size=14))
@example([("change", 1), ("read", 0), ("remove", 1), ("read", 0), ("come back", 0)])
@example([("blind", 20), ("change", 3), ("read", 0), ("open", 20), ("compare", 0)])
def test_the_changes_applied_to_the_first_version_give_the_last(taken):
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder))
        study = history.study
        try:
            first = study.fields()
            for step in taken:
                history.take(*step)
            study.read()
            study.compare()
            assert applied(first, study.all_changes()) == study.fields()
            check_nothing_is_shown(study)
        finally:
            study.close()


def check_nothing_is_shown(study: StoredStudy) -> None:
    """No row of the open table has a value of a variable that is withheld now."""
    rows = study.registry.rows("variables", STUDY)
    withheld = {
        (row["formKey"], row["variableName"]) for row in rows if row.get("blinded") is not False
    }
    shown = {(row["form_key"], row["variable"]) for row in study.rows()}
    assert not shown & withheld
