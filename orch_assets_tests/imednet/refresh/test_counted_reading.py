"""A refresh reads what changed, merges it, and proves that nothing is missing."""

from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from orch_assets import split_withheld
from orch_assets.imednet.refresh.endpoint_rules import RULES
from orch_assets_tests.imednet.refresh.conftest import STUDY, Account
from orch_assets_tests.imednet.refresh.stored import Refresher, Result, Stored, as_table

BOTH = ("records", "record_revisions")
BY_DATE = tuple(name for name, rule in RULES.items() if rule.by_date)


def run(refresher: Refresher, *names: str, after: Any = None) -> dict[str, Result]:
    """Refresh tables, and check that both parts are those of a whole reading."""
    results = refresher.run(*names, previous=after)
    for name, result in results.items():
        refresher.assert_whole(name, result)
    return results


def test_without_changes_two_tables_take_four_requests_and_stay(account: Account) -> None:
    refresher = account.refresher()
    first = run(refresher, *BOTH)
    account.requests()
    again = refresher.run(*BOTH, previous=first)
    assert sorted(account.requests()) == [
        "changed recordRevisions",
        "changed records",
        "recordRevisions count",
        "records count",
    ]
    for name in BOTH:
        changes = again[name].changes
        assert again[name].unchanged
        assert (changes.reading, changes.reason) == ("counted", None)
        assert changes.unchanged == first[name].parts[0].num_rows
        assert (changes.new, changes.changed, changes.deleted, changes.vanished) == (0, 0, 0, 0)


def test_without_changes_nothing_of_the_stored_version_is_read(account: Account) -> None:
    refresher = account.refresher()
    first = run(refresher, *BOTH)
    refresher.run(*BOTH, previous=first)
    for part in [part for result in first.values() for part in result.parts]:
        assert (part.columns_read, part.batches_read) == ([], 0)


def test_with_changes_two_tables_take_four_requests(account: Account) -> None:
    refresher = account.refresher()
    first = run(refresher, *BOTH)
    account.registry.live_day()
    account.requests()
    again = refresher.run(*BOTH, previous=first)
    assert len(account.requests()) == 4
    for name in BOTH:
        assert not again[name].unchanged
        assert again[name].changes.reading == "counted"
        refresher.assert_whole(name, again[name])


def test_tables_with_different_newest_dates_take_five_requests(account: Account) -> None:
    """The revisions read for `records` begin too late for the older date of the revisions."""
    refresher = account.refresher()
    records = account.registry.rows("records", STUDY)
    account.registry.clock.advance(timedelta(hours=5))
    newest = account.registry.clock.text
    account.registry.update_row("records", STUDY, records[0]["recordId"], dateModified=newest)
    first = run(refresher, *BOTH)
    account.requests()
    again = refresher.run(*BOTH, previous=first)
    assert sorted(account.requests()) == [
        "changed recordRevisions",
        "changed recordRevisions",
        "changed records",
        "recordRevisions count",
        "records count",
    ]
    assert all(result.unchanged for result in again.values())


def test_outside_a_run_no_reading_is_shared(account: Account) -> None:
    refresher = account.refresher()
    first = {name: refresher.refresh(name) for name in BOTH}
    account.requests()
    again = {name: refresher.refresh(name, first[name]) for name in BOTH}
    assert all(result.unchanged for result in again.values())
    assert len(account.requests()) == 5


def test_edits_additions_and_deletions_are_counted(account: Account) -> None:
    refresher = account.refresher()
    first = run(refresher, "records")["records"]
    with account.registry.edit(STUDY) as edit:
        one, two, three = [row for row in edit.rows("records").values() if row["formKey"] == "DM"][
            :3
        ]
        edit.records.set_status(one["recordId"], "Record Locked")
        edit.records.delete(two["recordId"])
        edit.records.delete(three["recordId"])
        edit.records.add("AE", one["subjectId"], {"AETERM": "Headache"})
    changes = run(refresher, "records", after={"records": first})["records"].changes
    assert (changes.new, changes.changed, changes.deleted, changes.vanished) == (1, 3, 2, 0)
    assert changes.unchanged == first.parts[0].num_rows - 3
    assert changes.requests == 3
    assert changes.requests_saved == (first.parts[0].num_rows + 1) // 20 + 1 - 3


@pytest.mark.parametrize("name", BY_DATE)
def test_each_table_read_by_date_is_whole_after_days_of_changes(
    account: Account, name: str
) -> None:
    account.registry.live_day()
    refresher = account.refresher(page_size=3)  # so that each table has several pages
    result = run(refresher, name)[name]
    counted = 0
    for _ in range(3):
        account.registry.live_day()
        result = run(refresher, name, after={name: result})[name]
        counted += result.changes.reading == "counted"
    assert counted == (0 if name == "sites" else 3)  # the study has fewer sites


def test_a_late_commit_within_the_overlap_is_found(account: Account) -> None:
    refresher = account.refresher()
    first = run(refresher, *BOTH)
    account.registry.clock.late = timedelta(minutes=59)
    with account.registry.edit(STUDY) as edit:
        edit.records.set_status(edit.records.find(formKey="AE")["recordId"], "Record Locked")
    again = run(refresher, *BOTH, after=first)
    assert again["records"].changes.changed == 1
    assert again["record_revisions"].changes.new == 1


def test_rows_with_one_date_are_all_found(account: Account) -> None:
    account.registry.clock.tick = timedelta(0)
    refresher = account.refresher(overlap=0)
    records = [row["recordId"] for row in account.registry.rows("records", STUDY)][:4]
    result = None
    for record in records:
        with account.registry.edit(STUDY) as edit:
            edit.records.set_status(record, "Record Locked")
        result = run(refresher, "records", after={"records": result})["records"]
    assert result is not None
    assert (result.changes.reading, result.changes.changed) == ("counted", 1)


def test_batches_without_a_change_pass_untouched(account: Account) -> None:
    """Rebuilt are those with rows of the answer, which has all rows within the overlap."""
    refresher = account.refresher(overlap=0)
    first = run(refresher, "records")["records"]
    watermark = first.parts[0].state["watermark"]
    with account.registry.edit(STUDY) as edit:
        edit.records.set_status(next(iter(edit.rows("records"))), "Record Locked")
    parts = split_withheld("records", refresher.sdk.records.refresh(STUDY, first.previous()))
    before, after = list(first.parts[0].batches()), list(parts.table)
    assert len(before) == len(after)
    untouched = [
        number for number in range(len(before)) if address(before[number]) == address(after[number])
    ]
    newest = datetime.fromisoformat(watermark)
    assert untouched == [
        number
        for number, batch in enumerate(after)
        if max(batch["date_modified"].to_pylist()) < newest
    ]
    assert len(untouched) >= len(before) - 2


def address(batch: pa.RecordBatch) -> int:
    return batch["record_id"].buffers()[1].address


def test_of_the_stored_version_only_ids_dates_and_marks_are_read_before(account: Account) -> None:
    refresher = account.refresher()
    first = run(refresher, "records")["records"]
    account.registry.live_day()
    stream = refresher.sdk.records.refresh(STUDY, first.parts[0])  # another split: read whole
    assert stream.refresh.changes.reason == "what is withheld has changed"
    parts = split_withheld("records", refresher.sdk.records.refresh(STUDY, first.previous()))
    assert parts.table.refresh.changes.reading == "counted"
    assert first.parts[0].columns_read == ["record_id", "date_modified", "deleted"]
    assert [part.batches_read for part in first.parts] == [0, 0]
    next(parts.table)
    assert [part.batches_read for part in first.parts] == [1, 0]  # one batch is in memory
    parts.table.close()


def test_the_withheld_part_needs_no_reader_beside_the_open_one(account: Account) -> None:
    """Merged parts are independent: one may be read after the other, or alone."""
    refresher = account.refresher()
    first = run(refresher, "records")["records"]
    account.registry.live_day()
    parts = split_withheld("records", refresher.sdk.records.refresh(STUDY, first.previous()))
    whole = refresher.whole("records")
    assert as_table(parts.withheld).equals(whole.withheld)
    assert as_table(parts.table).equals(whole.table)


def test_the_counts_are_those_of_the_answer_and_the_total(account: Account) -> None:
    """Replaced halves of surrogate pairs are counted in the changed rows."""
    refresher = account.refresher(overlap=0)
    first = run(refresher, "subjects", "visits")
    account.registry.clock.advance(timedelta(hours=1))
    visit = account.registry.rows("visits", STUDY)[3]
    account.registry.update_row(
        "visits",
        STUDY,
        visit["visitId"],
        dateModified=account.registry.clock.text,
        visitDateForm="half a pair: \ud83d",
    )
    stream = refresher.sdk.visits.refresh(STUDY, first["visits"].previous())
    parts = split_withheld("visits", stream)
    assert parts.table.refresh.changes.changed == 1
    assert parts.table.counts is parts.withheld.counts
    counts = parts.table.counts
    assert (counts.expected, counts.replaced_surrogates) == (first["visits"].parts[0].num_rows, 1)
    assert 1 <= counts.arrived < counts.expected


def test_a_stream_that_is_not_split_is_merged_too(account: Account) -> None:
    sdk = account.refresher().sdk
    stream = sdk.records.refresh(STUDY)
    first = Stored(as_table(stream), stream.refresh.state())
    account.registry.live_day()
    stream = sdk.records.refresh(STUDY, first)
    assert stream.refresh.changes.reading == "counted"
    merged = as_table(stream)
    assert merged.equals(sdk.records.table(STUDY).replace_schema_metadata(None))
    again = sdk.records.refresh(STUDY, Stored(merged, stream.refresh.state()))
    assert again.refresh.unchanged


def test_nothing_is_requested_before_somebody_asks(account: Account) -> None:
    refresher = account.refresher()
    first = run(refresher, "subjects")["subjects"]
    account.server.traffic.clear()
    stream = refresher.sdk.subjects.refresh(STUDY, first.previous())
    parts = split_withheld("subjects", stream)
    assert account.server.traffic.log == []
    parts.table.close()
    parts.withheld.close()
    assert account.server.traffic.log == []


def test_the_list_of_studies_is_read_once_for_a_run(account: Account) -> None:
    refresher = account.refresher()
    account.server.traffic.clear()
    refresher.run("sites", "forms", "subjects")
    assert [each.endpoint for each in account.server.traffic.log].count("studies") == 1
