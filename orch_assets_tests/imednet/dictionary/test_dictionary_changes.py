"""The comparison of two dictionaries, by edits of the simulator's account."""

from contextlib import contextmanager
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from orch_assets import ImednetSDK
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.imednet.dictionary.dictionary_changes import (
    KINDS,
    DictionaryChange,
    changes_between,
)

STUDY = "S"


def variable_changes(before, after):
    return changes_between("variable", before, after)


def form_changes(before, after):
    return changes_between("form", before, after)


class Dictionaries:
    """An account, and its dictionary as the client reads it."""

    def __init__(self, server: DemoServer, sdk: ImednetSDK) -> None:
        self.registry = server.registry
        self.sdk = sdk

    def tables(self) -> tuple[Any, Any]:
        return self.sdk.variables.table(STUDY), self.sdk.forms.table(STUDY)

    def edit(self) -> Any:
        return self.registry.edit(STUDY)


@contextmanager
def dictionaries():
    registry = DemoRegistry(studies=1, subjects=0)
    registry.add_study(STUDY, subjects=1)
    with (
        DemoServer(registry) as server,
        ImednetSDK(server.api_key, server.security_key, server.base_url) as sdk,
    ):
        yield Dictionaries(server, sdk)


@pytest.fixture
def account():
    with dictionaries() as opened:
        yield opened


def test_a_change_of_each_kind_is_named_by_its_variable_with_old_and_new(account):
    before, _ = account.tables()
    with account.edit() as edit:
        rows = {row["variableName"]: row for row in edit.rows("variables").values()
                if row["formKey"] == "AE"}  # fmt: skip
        ids = {name: row["variableId"] for name, row in rows.items()}
        edit.variables.change(ids["AETERM"], blinded=True)
        edit.variables.change(ids["AESTDAT"], variableType="TEXT", label="Start")
        edit.variables.rename(ids["AESER"], "AESERIOUS")
        edit.variables.delete(ids["AEENDAT"])
        added = edit.variables.add("AE", "AENEW", variable_type="NUMBER")["variableId"]
    after, _ = account.tables()

    def change(variable, kind, old, new):
        return DictionaryChange("variable", "AE", variable[0], variable[1], kind, old, new)

    term, start = ("AETERM", ids["AETERM"]), ("AESTDAT", ids["AESTDAT"])
    assert set(variable_changes(before, after)) == {
        change(term, "blinded", "open", "blinded"),
        change(start, "retyped", rows["AESTDAT"]["variableType"], "TEXT"),
        change(start, "relabelled", rows["AESTDAT"]["label"], "Start"),
        change(("AESERIOUS", ids["AESER"]), "renamed", "AESER", "AESERIOUS"),
        change(("AEENDAT", ids["AEENDAT"]), "removed", rows["AEENDAT"]["variableType"], None),
        change(("AENEW", added), "added", None, "NUMBER"),
    }
    back = {(each.variable_id, each.kind) for each in variable_changes(after, before)}
    assert (ids["AETERM"], "unblinded") in back
    assert (ids["AEENDAT"], "added") in back


def test_forms_are_added_renamed_and_removed_when_they_are_disabled(account):
    _, before = account.tables()
    with account.edit() as edit:
        edit.forms.add("NEW", "A new form")
        ae, dm = (edit.forms.find(formKey=key) for key in ("AE", "DM"))
        edit.forms.change(ae["formId"], formName="Events")
        edit.forms.change(dm["formId"], disabled=True)
    _, after = account.tables()
    found = [(each.what, each.form_key, each.kind, each.old, each.new)
             for each in form_changes(before, after)]  # fmt: skip
    assert sorted(found) == sorted(
        [
            ("form", "AE", "renamed", f"{ae['formName']} (AE)", "Events (AE)"),
            ("form", "DM", "removed", dm["formType"], None),
            ("form", "NEW", "added", None, "Subject"),
        ]
    )


def test_a_deleted_variable_can_be_blinded_and_then_both_are_named(account):
    with account.edit() as edit:
        variable_id = edit.variables.find(formKey="AE", variableName="AETERM")["variableId"]
    before, _ = account.tables()
    with account.edit() as edit:
        edit.variables.delete(variable_id)
        edit.variables.change(variable_id, blinded=True)
    after, _ = account.tables()
    assert [each.kind for each in variable_changes(before, after)] == ["removed", "blinded"]


def test_a_flag_that_nobody_knows_withholds_and_revisions_are_no_change(account):
    before, _ = account.tables()
    row = next(row for row in account.registry.rows("variables", STUDY) if not row["blinded"])
    account.registry.update_row("variables", STUDY, row["variableId"], blinded=None, revision=9)
    (change,) = variable_changes(before, account.tables()[0])
    assert (change.kind, change.old, change.new) == ("blinded", "open", "unknown")


class Editor:
    """Makes one random edit of a study's design."""

    ACTIONS = ("add", "rename", "retype", "blind", "flag", "remove", "add_form", "change_form")

    def __init__(self, edit: Any, draw: Any) -> None:
        self.edit, self.draw = edit, draw

    def make(self, number: int) -> None:
        getattr(self, f"_{self.draw(st.sampled_from(self.ACTIONS))}")(number)

    def _row(self, table: str) -> Any:
        rows = [*self.edit.rows(table).values()]
        return rows[self.draw(st.integers(0, len(rows) - 1))]

    def _add(self, number: int) -> None:
        flag = self.draw(st.sampled_from([False, True, None]))
        self.edit.variables.add(self._row("forms")["formKey"], f"NEW{number}", blinded=flag)

    def _rename(self, number: int) -> None:
        self.edit.variables.rename(self._row("variables")["variableId"], f"NAME{number}")

    def _retype(self, number: int) -> None:
        row_id = self._row("variables")["variableId"]
        label = self.draw(st.sampled_from(["", f"Label {number}"]))
        self.edit.variables.change(row_id, variableType="TEXT", label=label)

    def _blind(self, _: int) -> None:
        flag = self.draw(st.sampled_from([False, True, None]))
        self.edit.variables.change(self._row("variables")["variableId"], blinded=flag)

    def _flag(self, _: int) -> None:
        row = self._row("variables")
        edits = self.edit.variables
        (edits.restore if row["deleted"] else edits.delete)(row["variableId"])

    def _remove(self, _: int) -> None:
        self.edit.variables.remove(self._row("variables")["variableId"])

    def _add_form(self, number: int) -> None:
        self.edit.forms.add(f"FORM{number}", f"Form {number}")

    def _change_form(self, number: int) -> None:
        form = self._row("forms")
        self.edit.forms.change(
            form["formId"], formName=f"Form {number}", disabled=self.draw(st.booleans())
        )


def state(variables: Any) -> dict[int, dict[str, Any]]:
    """Return what the comparison says of each variable, said in another way."""
    return {
        row["variable_id"]: {
            "in use": not (row["deleted"] or row["disabled"]),
            "renamed": row["variable_name"],
            "retyped": row["variable_type"],
            "relabelled": row["label"],
            "blinded": {True: "blinded", False: "open", None: "unknown"}[row["blinded"]],
        }
        for row in variables.to_pylist()
    }


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_changes_of_any_edits_lead_from_the_earlier_dictionary_to_the_later_one(data):
    with dictionaries() as account:
        before, forms_before = account.tables()
        with account.edit() as edit:
            for number in range(data.draw(st.integers(0, 8))):
                Editor(edit, data.draw).make(number)
        after, forms_after = account.tables()
        found = variable_changes(before, after)
        earlier, later = state(before), state(after)
        for each in found:
            row = earlier.setdefault(each.variable_id, dict(later.get(each.variable_id, {})))
            if each.kind in {"added", "removed"}:
                row["in use"] = each.kind == "added"
            else:
                kind = "blinded" if each.kind == "unblinded" else each.kind
                assert row[kind] == each.old
                row[kind] = each.new
        for variable_id in earlier.keys() - later.keys():  # nothing is said of what isn't in use
            assert not earlier.pop(variable_id)["in use"]
        assert earlier == {each: later[each] for each in earlier}
        assert not any(later[each]["in use"] for each in later.keys() - earlier.keys())
        assert {each.kind for each in found} <= set(KINDS)
        assert variable_changes(after, after) == form_changes(forms_after, forms_after) == []
        old, new = form_states(forms_before), form_states(forms_after)
        different = {key for key in new if old.get(key, (None, True)) != new[key]}
        unseen = {key for key in new.keys() - old.keys() if new[key][1]}  # added and disabled
        changed = {each.form_key for each in form_changes(forms_before, forms_after)}
        assert changed == different - unseen


def form_states(forms: Any) -> dict[str, tuple[str, bool]]:
    """Return name and disabled flag of each form, by its key."""
    return {row["form_key"]: (row["form_name"], row["disabled"]) for row in forms.to_pylist()}
