"""Where an answer can't be all that changed, the whole table is read in the same run."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from orch_assets.demo import DemoRegistry, Fault
from orch_assets.errors import IncompleteTableError, RegistryRefusedError
from orch_assets_tests.imednet.refresh.conftest import STUDY, Account
from orch_assets_tests.imednet.refresh.stored import Refresher, Result

TOO_MANY = "too many rows have changed"
LACKS = "the answer lacks rows with a date that was asked for"
UNEQUAL = "the rows after the merge aren't as many as the API counts"
AUDITED = "a record with a new revision isn't among the changed ones"


def refreshed(
    account: Account, *faults: Fault, name: str = "records", **options: Any
) -> tuple[Result, Result]:
    """Refresh a table before and after a day, the second time with faults; check it is whole."""
    refresher = account.refresher(**options)
    first = refresher.run(name)[name]
    account.registry.live_day()
    account.server.faults.add(*faults)
    again = refresher.run(name, previous={name: first})[name]
    account.server.faults.clear()
    refresher.assert_whole(name, again)
    return first, again


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault("ignored_filter", "records"), TOO_MANY),
        (Fault("refused_filter", "records"), "the API refuses the filter"),
        (Fault("error_envelope", "records", times=10), "the API refuses the filter"),
        (Fault("other_zone", "records", hours=-27), LACKS),
        (Fault("ignored_filter", "recordRevisions"), "too many records have new revisions"),
        (Fault("refused_filter", "recordRevisions"), "the API refuses the filter"),
    ],
)
def test_a_misunderstood_filter_means_a_whole_reading(
    account: Account, fault: Fault, reason: str
) -> None:
    _, again = refreshed(account, fault)
    assert (again.changes.reading, again.changes.reason) == ("read whole", reason)
    assert again.changes.changed > 0


@pytest.mark.parametrize("hours", [5, 0.5, -0.5])
def test_a_zone_that_only_adds_rows_or_stays_within_the_overlap_does_no_harm(
    account: Account, hours: float
) -> None:
    _, again = refreshed(account, Fault("other_zone", "records", hours=hours))
    assert again.changes.reading == "counted"


def test_an_unchanged_table_is_recognized_in_another_zone(account: Account) -> None:
    refresher = account.refresher()
    first = refresher.run("records")
    account.server.faults.add(Fault("other_zone", hours=12))
    assert refresher.run("records", previous=first)["records"].unchanged


def test_rows_in_another_order_are_refused(account: Account) -> None:
    """Neither the changed rows nor all rows can be told to be complete."""
    refresher = account.refresher()
    first = refresher.run("records")
    account.registry.live_day()
    account.server.faults.add(Fault("other_order", "records"))
    with pytest.raises(IncompleteTableError):
        refresher.run("records", previous=first)


def test_changed_rows_in_another_order_mean_a_whole_reading(account: Account) -> None:
    _, again = refreshed(account, Fault("other_order", "records", times=4))
    assert again.changes.reason == "the changed rows can't be read consistently"


@pytest.mark.parametrize("status", [401, 403])
def test_a_study_that_may_not_be_read_fails(account: Account, status: int) -> None:
    with pytest.raises(RegistryRefusedError):
        refreshed(account, Fault("status", "records", status=status, times=1))


def test_a_failed_request_is_sent_again(account: Account) -> None:
    _, again = refreshed(account, Fault("status", "records", status=503, times=2))
    assert (again.changes.reading, again.changes.requests) == ("counted", 3)


def test_an_answer_of_more_than_half_of_the_rows_means_a_whole_reading(account: Account) -> None:
    refresher = account.refresher()
    first = refresher.run("records")
    with account.registry.edit(STUDY) as edit:
        ids = list(edit.rows("records"))
        for record in ids[: len(ids) // 2 + 1]:
            edit.records.set_status(record, "Record Locked")
    again = refresher.run("records", previous=first)["records"]
    refresher.assert_whole("records", again)
    assert again.changes.reason == "too many records have new revisions"


def add_record(registry: DemoRegistry) -> None:
    with registry.edit(STUDY) as edit:
        subject = next(iter(edit.rows("subjects")))
        edit.records.add("AE", subject, {"AETERM": "Headache"})


def remove_old_record(registry: DemoRegistry) -> None:
    with registry.edit(STUDY) as edit:
        edit.records.remove(next(iter(edit.rows("records"))))


def test_a_record_added_between_the_requests_is_read_with_the_next_answer(
    account: Account,
) -> None:
    refresher = account.refresher()
    first = refresher.run("records")
    account.registry.live_day()
    account.registry.after_page("records", 0, add_record, study_key=STUDY)
    again = refresher.run("records", previous=first)["records"]
    refresher.assert_whole("records", again)
    assert (again.changes.reading, again.changes.requests) == ("counted", 5)


def test_a_record_edited_between_the_requests_is_found_now_or_next_time(
    account: Account,
) -> None:
    refresher = account.refresher()
    first = refresher.run("records")
    account.registry.live_day()
    before = refresher.whole("records").table

    def edit_one(registry: DemoRegistry) -> None:
        with registry.edit(STUDY) as edit:
            edit.records.set_status(next(iter(edit.rows("records"))), "Record Locked")

    account.registry.after_page("records", 0, edit_one, study_key=STUDY)
    again = refresher.run("records", previous=first)
    after = refresher.whole("records").table
    assert again["records"].parts[0].table in (before, after)
    last = refresher.run("records", previous=again)["records"]
    refresher.assert_whole("records", last)
    assert last.changes.reading == "counted"


def test_a_revision_that_comes_before_its_record_is_waited_for(account: Account) -> None:
    """The revisions are read beside the records: one may tell of a record that came later."""
    registry = account.registry
    refresher = account.refresher()
    first = refresher.run("records")
    record = registry.rows("records", STUDY)[0]
    with registry.edit(STUDY) as edit:
        edit.records.set_status(record["recordId"], "Record Locked")
    changed = registry.table("records", STUDY).get(record["recordId"])
    registry.update_row("records", STUDY, record["recordId"], **record)  # not there yet
    registry.after_page(
        "records",
        0,
        lambda registry: registry.update_row("records", STUDY, record["recordId"], **changed),
        study_key=STUDY,
    )
    again = refresher.run("records", previous=first)["records"]
    refresher.assert_whole("records", again)
    assert (again.changes.reading, again.changes.changed) == ("counted", 1)


def test_a_record_removed_between_the_requests_is_noticed_now_or_next_time(
    account: Account,
) -> None:
    """If the count came first, it counted the record, too."""
    refresher = account.refresher()
    first = refresher.run("records")
    account.registry.after_page("records", 0, remove_old_record, study_key=STUDY)
    again = refresher.run("records", previous=first)
    last = refresher.run("records", previous=again)["records"]
    refresher.assert_whole("records", last)
    assert sum(each.changes.vanished for each in (again["records"], last)) == 1


def test_changed_rows_of_several_pages_that_move_are_read_again(account: Account) -> None:
    refresher = account.refresher(page_size=5, window=1)
    first = refresher.run("records")
    account.registry.live_day()
    with account.registry.edit(STUDY) as edit:
        for record in list(edit.rows("records"))[20:32]:
            edit.records.set_status(record, "Record Locked")

    def edit_first(registry: DemoRegistry) -> None:
        with registry.edit(STUDY) as edit:
            edit.records.set_status(next(iter(edit.rows("records"))), "Record Locked")

    account.registry.after_page("records", 1, edit_first, study_key=STUDY)
    again = refresher.run("records", previous=first)["records"]
    refresher.assert_whole("records", again)


def removed(account: Account, *positions: int) -> tuple[Refresher, Result]:
    """Refresh after records were removed completely, counted from the oldest date."""
    refresher = account.refresher()
    first = refresher.run("records")
    rows = sorted(account.registry.rows("records", STUDY), key=lambda row: row["dateModified"])
    for position in positions:
        account.registry.delete_row("records", STUDY, rows[position]["recordId"])
    again = refresher.run("records", previous=first)["records"]
    refresher.assert_whole("records", again)
    return refresher, again


def test_removed_records_are_noticed_by_the_count(account: Account) -> None:
    refresher, again = removed(account, 0, 1)
    assert (again.changes.reason, again.changes.vanished) == (UNEQUAL, 2)
    assert again.changes.unchanged == again.parts[0].num_rows
    last = refresher.run("records", previous={"records": again})["records"]
    assert last.unchanged


def test_the_record_with_the_newest_date_may_be_removed(account: Account) -> None:
    refresher, again = removed(account, -1)
    assert again.changes.vanished == 1
    assert refresher.run("records", previous={"records": again})["records"].unchanged


def test_a_removed_and_a_new_record_do_not_hide_each_other(account: Account) -> None:
    refresher = account.refresher()
    first = refresher.run("records")
    remove_old_record(account.registry)
    add_record(account.registry)
    again = refresher.run("records", previous=first)["records"]
    refresher.assert_whole("records", again)
    assert (again.changes.new, again.changes.vanished) == (1, 1)
    assert again.changes.reason == UNEQUAL


@pytest.mark.parametrize("name", ["records", "subjects"])
def test_a_table_may_become_empty_and_grow_again(account: Account, name: str) -> None:
    registry = account.registry
    refresher = account.refresher(page_size=3)
    first = refresher.run(name)
    rows = list(registry.rows(name, STUDY))
    id_name = {"records": "recordId", "subjects": "subjectId"}[name]
    for row in rows:
        registry.delete_row(name, STUDY, row[id_name])
    empty = refresher.run(name, previous=first)
    refresher.assert_whole(name, empty[name])
    assert empty[name].changes.vanished == len(rows)
    assert refresher.run(name, previous=empty)[name].unchanged
    for row in rows:
        registry.insert_row(name, STUDY, row)
    again = refresher.run(name, previous=empty)[name]
    refresher.assert_whole(name, again)
    assert (again.changes.new, again.changes.reason) == (len(rows), "the table fits one page")


def test_a_record_that_changed_without_its_date_is_found_by_its_revision(
    account: Account,
) -> None:
    refresher = account.refresher()
    first = refresher.run("records")
    record = account.registry.rows("records", STUDY)[0]
    with account.registry.edit(STUDY) as edit:
        edit.records.set_status(record["recordId"], "Record Locked")
    date = record["dateModified"]
    account.registry.update_row("records", STUDY, record["recordId"], dateModified=date)
    again = refresher.run("records", previous=first)["records"]
    refresher.assert_whole("records", again)
    assert again.changes.reason == AUDITED


def test_revisions_of_removed_records_do_not_stand_in_the_way(account: Account) -> None:
    """The audit trail keeps them, and they stay within the overlap until something changes."""
    refresher = account.refresher()
    first = refresher.run("records")
    add_record(account.registry)
    again = refresher.run("records", previous=first)
    newest = account.registry.rows("records", STUDY)[-1]
    account.registry.delete_row("records", STUDY, newest["recordId"])
    again = refresher.run("records", previous=again)
    last = refresher.run("records", previous=again)["records"]
    assert last.unchanged
    assert last.changes.reading == "counted"


def test_a_row_that_loses_its_date_is_not_lost(account: Account) -> None:
    refresher = account.refresher(page_size=3)
    first = refresher.run("visits")
    newest = max(account.registry.rows("visits", STUDY), key=lambda row: row["dateModified"])
    account.registry.update_row("visits", STUDY, newest["visitId"], dateModified=None)
    again = refresher.run("visits", previous=first)
    refresher.assert_whole("visits", again["visits"])
    with account.registry.edit(STUDY) as edit:
        edit.visits.delete(next(iter(edit.rows("visits"))))
    last = refresher.run("visits", previous=again)["visits"]
    refresher.assert_whole("visits", last)
    assert (last.changes.reading, last.changes.deleted) == ("counted", 1)


def test_a_table_without_dates_is_read_whole(account: Account) -> None:
    for row in account.registry.rows("visits", STUDY):
        account.registry.update_row("visits", STUDY, row["visitId"], dateModified=None)
    refresher = account.refresher(page_size=3)
    first = refresher.run("visits")
    again = refresher.run("visits", previous=first)["visits"]
    refresher.assert_whole("visits", again)
    assert "no row is dated" in str(again.changes.reason)


def test_a_date_in_the_future_hides_no_later_change(account: Account) -> None:
    registry = account.registry
    some = registry.rows("records", STUDY)[5]
    registry.update_row("records", STUDY, some["recordId"], dateModified="2031-01-01 00:00:00")
    refresher = account.refresher()
    result = refresher.run("records")["records"]
    for _ in range(3):
        assert refresher.run("records", previous={"records": result})["records"].unchanged
        registry.live_day()
        result = refresher.run("records", previous={"records": result})["records"]
        refresher.assert_whole("records", result)
        assert result.changes.reading == "counted"


def test_changes_during_a_reading_longer_than_the_overlap_are_found_afterwards(
    account: Account,
) -> None:
    """The newest date counts only up to the time at which the reading began."""
    registry = account.registry
    refresher = account.refresher(window=1)

    def hours_later(position: int) -> Callable[[DemoRegistry], None]:
        def change(registry: DemoRegistry) -> None:
            registry.clock.advance(timedelta(hours=3))
            with registry.edit(STUDY) as edit:
                edit.records.set_status(list(edit.rows("records"))[position], "Record Locked")

        return change

    registry.after_page("records", 2, hours_later(0), study_key=STUDY)  # has passed
    registry.after_page("records", 3, hours_later(-1), study_key=STUDY)  # is still to come
    first = refresher.run("records")
    again = refresher.run("records", previous=first)["records"]
    refresher.assert_whole("records", again)
    assert again.changes.reading == "counted"


def test_a_table_that_grows_beyond_a_page_is_read_on(account: Account) -> None:
    refresher = account.refresher(page_size=5)
    first = refresher.run("subjects")
    assert first["subjects"].parts[0].num_rows == 4
    with account.registry.edit(STUDY) as edit:
        site = next(iter(edit.rows("sites")))
        for _ in range(4):
            edit.subjects.add(site)
    account.requests()
    again = refresher.run("subjects", previous=first)
    assert account.requests() == ["subjects", "subjects"]
    refresher.assert_whole("subjects", again["subjects"])
    assert again["subjects"].changes.new == 4
    last = refresher.run("subjects", previous=again)["subjects"]
    assert (last.unchanged, last.changes.reading) == (True, "counted")


def test_a_page_that_is_exactly_full_is_no_small_table(account: Account) -> None:
    refresher = account.refresher(page_size=4)
    first = refresher.run("subjects")
    assert first["subjects"].parts[0].num_rows == 4
    again = refresher.run("subjects", previous=first)["subjects"]
    refresher.assert_whole("subjects", again)
