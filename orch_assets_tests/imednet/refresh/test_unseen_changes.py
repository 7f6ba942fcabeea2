"""What no refresh can see at once, and how the next whole reading finds it."""

from datetime import timedelta
from typing import Any

import pytest

from orch_assets_tests.imednet.refresh.conftest import STUDY, Account
from orch_assets_tests.imednet.refresh.stored import Refresher, Result


def unseen_then_whole(refresher: Refresher, name: str, first: Result) -> tuple[Result, Result]:
    """Refresh a table, which misses something; then read it whole, and check that it's there."""
    missed = refresher.run(name, previous={name: first})[name]
    with pytest.raises(AssertionError):
        refresher.assert_whole(name, missed)
    whole = refresher.run(name, previous={name: missed}, read_whole=True)[name]
    refresher.assert_whole(name, whole)
    assert whole.changes.reason == "a whole reading was asked for"
    return missed, whole


def test_names_copied_from_another_table_move_no_date(account: Account) -> None:
    """A subject's new key appears in its records; the whole reading counts them as unchanged."""
    refresher = account.refresher()
    first = refresher.run("records")["records"]
    with account.registry.edit(STUDY) as edit:
        edit.subjects.change(next(iter(edit.rows("subjects"))), subjectKey="001-999")
    missed, whole = unseen_then_whole(refresher, "records", first)
    assert missed.unchanged
    assert (whole.changes.changed, whole.changes.new) == (0, 0)


def test_answers_that_follow_a_renamed_variable_move_no_date(account: Account) -> None:
    """Here the dictionary changed, too: so the records are read whole at once."""
    refresher = account.refresher()
    first = refresher.run("records")["records"]
    with account.registry.edit(STUDY) as edit:
        variable = edit.variables.find(variableName="AETERM")["variableId"]
        edit.variables.rename(variable, "AETERM2", with_answers=True)
    again = refresher.run("records", previous={"records": first})["records"]
    refresher.assert_whole("records", again)
    assert again.changes.reason == "what is withheld has changed"


def test_a_commit_later_than_the_overlap_without_a_revision(account: Account) -> None:
    """The whole reading finds a row with another date."""
    refresher = account.refresher(page_size=3)
    with account.registry.edit(STUDY) as edit:
        edit.visits.delete(list(edit.rows("visits"))[-1])
    first = refresher.run("visits")["visits"]
    late = account.registry.clock.now - timedelta(hours=2)
    with account.registry.edit(STUDY, at=late) as edit:
        edit.visits.delete(next(iter(edit.rows("visits"))))
    missed, whole = unseen_then_whole(refresher, "visits", first)
    assert missed.unchanged
    assert (whole.changes.changed, whole.changes.deleted) == (1, 1)


def test_a_new_row_later_than_the_overlap_is_found_at_once_by_the_count(
    account: Account,
) -> None:
    refresher = account.refresher(page_size=3)
    with account.registry.edit(STUDY) as edit:
        edit.visits.delete(list(edit.rows("visits"))[-1])
    first = refresher.run("visits")["visits"]
    late = account.registry.clock.now - timedelta(hours=2)
    with account.registry.edit(STUDY, at=late) as edit:
        subject, interval = next(iter(edit.rows("subjects"))), next(iter(edit.rows("intervals")))
        edit.visits.add(subject, interval, "2025-07-02")
    again = refresher.run("visits", previous={"visits": first})["visits"]
    refresher.assert_whole("visits", again)
    assert (again.changes.reading, again.changes.new) == ("read whole", 1)


def test_a_row_that_is_removed_while_one_with_an_old_date_comes_back(account: Account) -> None:
    """The count is right by chance; the whole reading finds one row new and one vanished."""
    refresher = account.refresher()
    registry = account.registry
    one, other = registry.rows("records", STUDY)[:2]
    registry.delete_row("records", STUDY, one["recordId"])
    first = refresher.run("records")["records"]
    registry.insert_row("records", STUDY, one)
    registry.delete_row("records", STUDY, other["recordId"])
    missed, whole = unseen_then_whole(refresher, "records", first)
    assert missed.unchanged
    assert (whole.changes.new, whole.changes.vanished) == (1, 1)


def test_a_row_without_a_date_that_changes(account: Account) -> None:
    """The whole reading stores it, but cannot count it: it has no other date than before."""
    refresher = account.refresher(page_size=3)
    visit: Any = account.registry.rows("visits", STUDY)[0]["visitId"]
    account.registry.update_row("visits", STUDY, visit, dateModified=None)
    first = refresher.run("visits")["visits"]
    account.registry.update_row("visits", STUDY, visit, intervalName="Another")
    missed, whole = unseen_then_whole(refresher, "visits", first)
    assert missed.unchanged
    assert whole.changes.changed == 0


def test_all_of_it_is_there_after_the_usual_days(account: Account) -> None:
    refresher = account.refresher(full_every=1)
    first = refresher.run("records")["records"]
    with account.registry.edit(STUDY) as edit:
        edit.subjects.change(next(iter(edit.rows("subjects"))), subjectKey="001-999")
    for part in first.parts:
        part.state = {**part.state, "read_whole_at": "2025-01-01T00:00:00Z"}
    again = refresher.run("records", previous={"records": first})["records"]
    refresher.assert_whole("records", again)
