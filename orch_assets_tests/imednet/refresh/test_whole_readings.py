"""When a table is read whole, and what is found out on the way."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orch_assets.errors import DictionaryChangedError, ImednetError
from orch_assets.imednet.refresh import whole_reading
from orch_assets.imednet.refresh.endpoint_rules import RULES
from orch_assets.refreshing import PreviousResult
from orch_assets_tests.imednet.refresh.conftest import STUDY, Account
from orch_assets_tests.imednet.refresh.stored import Refresher, Result, split_withheld

SHORT = "the table fits one page"


def again(refresher: Refresher, first: Result, name: str = "records", **options: Any) -> Result:
    """Refresh a table from an earlier result; check that it is whole."""
    result = refresher.run(name, previous={name: first}, **options)[name]
    refresher.assert_whole(name, result)
    return result


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_table_has_a_rule_and_is_whole_the_first_time(account: Account, name: str) -> None:
    refresher = account.refresher()
    result = refresher.run(name)[name]
    refresher.assert_whole(name, result)
    changes = result.changes
    assert (changes.reading, changes.reason) == ("read whole", "there is no earlier version")
    assert changes.new == sum(1 for _ in getattr(refresher.sdk, name).list(STUDY))
    assert [refresh.earlier for refresh in result.refreshes] == [None, None]


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_second_time_nothing_has_changed(account: Account, name: str) -> None:
    refresher = account.refresher()
    first = refresher.run(name)[name]
    assert again(refresher, first, name).unchanged


def test_tables_of_one_page_take_one_request_and_are_compared_as_a_whole(
    account: Account,
) -> None:
    refresher = account.refresher(page_size=500)
    first = refresher.run("subjects")["subjects"]
    account.requests()
    same = again(refresher, first, "subjects")
    assert (same.unchanged, same.changes.reason, same.changes.unchanged) == (True, SHORT, 4)
    assert first.parts[0].columns_read == []
    # The copied name of a site has no date of its own.
    with account.registry.edit(STUDY) as edit:
        edit.sites.change(next(iter(edit.rows("sites"))), siteName="Another name")
    account.requests()
    renamed = again(refresher, same, "subjects")
    assert account.requests()[0] == "subjects"
    assert (renamed.unchanged, renamed.changes.changed) == (False, 0)


def test_withdrawn_codings_and_those_changed_back_are_found_at_once(account: Account) -> None:
    refresher = account.refresher()
    first = refresher.run("codings")["codings"]
    coding, other = account.registry.rows("codings", STUDY)[:2]
    with account.registry.edit(STUDY) as edit:
        edit.codings.change(coding["codingId"], "another")
        edit.codings.remove(other["codingId"])
    changed = again(refresher, first, "codings")
    assert (changed.changes.changed, changed.changes.vanished) == (1, 1)
    with account.registry.edit(STUDY) as edit:
        edit.codings.change_back(coding)
    assert again(refresher, changed, "codings").changes.changed == 1


def test_withheld_codings_are_not_counted_as_new_each_time(account: Account) -> None:
    """They are in no open part."""
    with account.registry.edit(STUDY) as edit:
        variable = edit.variables.find(variableName="AETERM")["variableId"]
        edit.variables.change(variable, blinded=True)
    refresher = account.refresher()
    first = refresher.run("codings")["codings"]
    assert all(part.num_rows for part in first.parts)
    coding = account.registry.rows("codings", STUDY)[0]
    with account.registry.edit(STUDY) as edit:
        edit.codings.change(coding["codingId"], "another")
    changes = again(refresher, first, "codings").changes
    assert (changes.new, changes.changed, changes.vanished) == (0, 1, 0)


def test_users_may_be_read_with_inactive_ones(account: Account) -> None:
    sdk = account.refresher().sdk
    stream = sdk.users.refresh(STUDY, include_inactive=True)
    rows = sum(batch.num_rows for batch in stream)
    assert rows == len(account.registry.rows("users", STUDY))
    assert stream.refresh.state()["endpoint"] == "users include_inactive=True"


def test_tables_read_by_date_take_no_options_and_studies_are_not_refreshed(
    account: Account,
) -> None:
    sdk = account.refresher().sdk
    with pytest.raises(TypeError, match="records has no filter record_data_filter"):
        sdk.records.refresh(STUDY, record_data_filter="AESEV==Mild")
    with pytest.raises(TypeError, match="studies can't be refreshed"):
        sdk.studies.refresh(STUDY)


def test_a_whole_reading_may_be_asked_for(account: Account) -> None:
    refresher = account.refresher()
    first = refresher.run("records")["records"]
    result = again(refresher, first, read_whole=True)
    assert result.changes.reason == "a whole reading was asked for"
    assert result.changes.unchanged == first.parts[0].num_rows
    assert [refresh.earlier for refresh in result.refreshes] == list(first.parts)
    assert not any(refresh.unchanged for refresh in result.refreshes)


@pytest.mark.parametrize("days", [1, 7])
@pytest.mark.parametrize(("hours_left", "is_due"), [(2.1, False), (1.9, True), (-1, True)])
def test_all_is_read_again_after_some_days_up_to_two_hours_early(
    account: Account, days: int, hours_left: float, is_due: bool
) -> None:
    """The readings of a nightly schedule aren't exactly a day apart."""
    refresher = account.refresher(full_every=days)
    first = refresher.run("records")["records"]
    read = datetime.now(UTC) - timedelta(days=days, hours=-hours_left)
    for part in first.parts:
        part.state = {**part.state, "read_whole_at": read.isoformat()}
    result = again(refresher, first)
    reason = f"the last whole reading was on {read:%Y-%m-%d}" if is_due else None
    assert (result.changes.reason, result.unchanged) == (reason, not is_due)


def test_merging_does_not_move_the_date_of_the_last_whole_reading(account: Account) -> None:
    refresher = account.refresher()
    first = refresher.run("records")["records"]
    account.registry.live_day()
    merged = again(refresher, first)
    assert merged.parts[0].state["read_whole_at"] == first.parts[0].state["read_whole_at"]
    assert merged.parts[0].state["watermark"] > first.parts[0].state["watermark"]


def test_zero_days_read_everything_each_time(account: Account) -> None:
    refresher = account.refresher(full_every=0)
    first = refresher.run("records")["records"]
    assert again(refresher, first).changes.reading == "read whole"


def test_a_variable_that_becomes_blinded_leaves_the_open_part_at_once(account: Account) -> None:
    refresher = account.refresher()
    first = refresher.run("records")["records"]
    with account.registry.edit(STUDY) as edit:
        variable = edit.variables.find(variableName="AETERM")["variableId"]
        edit.variables.change(variable, blinded=True)
    result = again(refresher, first)
    assert result.changes.reason == "what is withheld has changed"
    assert all("AETERM" not in text for text in result.parts[0].table["record_data"].to_pylist())


def test_a_visit_window_that_becomes_withheld_leaves_the_open_part(account: Account) -> None:
    refresher = account.refresher(page_size=3)
    first = refresher.run("visits")["visits"]
    with account.registry.edit(STUDY) as edit:
        interval = next(iter(edit.rows("intervals")))
        edit.intervals.change(interval, windowCalculationDate="NOBODY_KNOWS")
    assert again(refresher, first, "visits").changes.reason == "what is withheld has changed"


def test_other_changes_of_the_dictionary_do_not_matter(account: Account) -> None:
    refresher = account.refresher()
    first = refresher.run("records")["records"]
    with account.registry.edit(STUDY) as edit:
        edit.variables.change(next(iter(edit.rows("variables"))), label="Another label")
    assert again(refresher, first).unchanged


def test_opening_extra_fields_means_a_whole_reading(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresher = account.refresher(page_size=3)
    first = refresher.run("subjects")["subjects"]
    monkeypatch.setenv("ORCH_EXTRA_FIELDS", "open")
    assert again(refresher, first, "subjects").changes.reason == "what is withheld has changed"


def blind(registry: Any) -> None:
    with registry.edit(STUDY) as edit:
        variable = edit.variables.find(variableName="AETERM")["variableId"]
        edit.variables.change(variable, blinded=True)


def test_a_dictionary_that_changes_meanwhile_fails_the_refresh(account: Account) -> None:
    refresher = account.refresher()
    first = refresher.run("records")["records"]
    with account.registry.edit(STUDY) as edit:
        edit.records.change(next(iter(edit.rows("records"))), {})
    account.registry.after_page("records", 0, blind, study_key=STUDY)
    with pytest.raises(DictionaryChangedError):
        refresher.run("records", previous={"records": first})
    assert again(refresher, first).changes.reason == "what is withheld has changed"


def test_if_nothing_is_to_be_stored_the_dictionary_is_not_read_again(account: Account) -> None:
    """A blinding that this reading is too early for is applied by the next one."""
    refresher = account.refresher()
    first = refresher.run("records")["records"]
    account.registry.after_page("records", 0, blind, study_key=STUDY)
    account.server.traffic.clear()
    assert refresher.run("records", previous={"records": first})["records"].unchanged
    asked = [entry.endpoint for entry in account.server.traffic.log]
    assert "variables" not in asked[asked.index("records") :]
    assert again(refresher, first).changes.reason == "what is withheld has changed"


def test_fields_beyond_the_description_enter_and_leave_the_withheld_part(
    account: Account,
) -> None:
    """The part is stored only if it has rows; a missing one is the same as an empty one."""
    registry = account.registry
    refresher = account.refresher(page_size=3)
    first = refresher.run("subjects")["subjects"]
    assert first.parts[1].num_rows == 0
    without = Result(first.parts[:1], first.refreshes)
    subject = registry.rows("subjects", STUDY)[0]["subjectId"]
    registry.update_row("subjects", STUDY, subject, sponsorNote="x")
    with registry.edit(STUDY) as edit:
        edit.subjects.change(subject, subjectStatus="Completed")
    result = again(refresher, without, "subjects")
    assert (result.changes.reading, result.parts[1].num_rows) == ("counted", 1)
    assert [refresh.earlier is None for refresh in result.refreshes] == [False, True]
    lost = again(refresher, Result(result.parts[:1], ()), "subjects")
    assert lost.changes.reason == "the withheld part is missing"


def test_parts_of_different_refreshes_are_not_merged(account: Account) -> None:
    """A process that was killed between the two commits leaves a newer withheld part."""
    refresher = account.refresher()
    first = refresher.run("records")["records"]
    account.registry.live_day()
    newer = again(refresher, first)
    mixed = Result([first.parts[0], newer.parts[1]], ())
    result = again(refresher, mixed)
    assert result.changes.reason == "the stored parts aren't of one refresh"


@pytest.mark.parametrize(
    "change",
    [
        lambda state: {},
        lambda state: {**state, "rule": 0},
        lambda state: {**state, "rule": True},
        lambda state: {**state, "rows": -1},
        lambda state: {**state, "rows": "1"},
        lambda state: {**state, "watermark": "2025-06-30T12:00:00"},
        lambda state: {**state, "watermark": "yesterday"},
        lambda state: {**state, "more": 1},
        lambda state: {key: value for key, value in state.items() if key != "tail"},
        lambda state: {**state, "endpoint": "visits"},
    ],
)
def test_anything_odd_in_a_state_means_a_whole_reading(account: Account, change: Any) -> None:
    refresher = account.refresher()
    first = refresher.run("records")["records"]
    first.parts[0].state = change(first.parts[0].state)
    result = again(refresher, first)
    assert result.changes.reason == "the stored version has no state of this table and release"


def test_another_shape_or_number_of_rows_means_a_whole_reading(account: Account) -> None:
    refresher = account.refresher()
    first = refresher.run("records")["records"]
    whole = first.parts[0].table
    first.parts[0].table = whole.slice(1)
    assert "another number of rows" in str(again(refresher, first).changes.reason)
    account.registry.live_day()
    first.parts[0].table = whole.drop_columns(["site_id"])
    assert again(refresher, first).changes.reason == "the columns have changed"
    first.parts[0].table = whole.take(list(range(len(whole)))[::-1])
    reason = again(refresher, first).changes.reason
    assert reason == "the stored rows aren't in the order of their IDs"


def test_too_many_new_rows_to_keep_are_read_again_instead_of_compared(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_reading, "MOST_ROWS", 10)
    account.registry.clock.tick = timedelta(0)
    with account.registry.edit(STUDY) as edit:
        for record in list(edit.rows("records"))[:12]:
            edit.records.set_status(record, "Record Locked")
    refresher = account.refresher()
    first = refresher.run("records")["records"]
    assert first.parts[0].state["tail"] is None
    result = again(refresher, first)
    assert (result.unchanged, result.changes.reading, result.changes.changed) == (
        False,
        "counted",
        0,
    )


def test_a_flood_of_rows_in_the_past_does_not_cost_the_newest_ones(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_reading, "MOST_ROWS", 10)
    with account.registry.edit(STUDY) as edit:
        for record in list(edit.rows("records"))[:12]:
            edit.records.set_status(record, "Record Locked")
    account.registry.clock.advance(timedelta(days=1))
    with account.registry.edit(STUDY) as edit:
        edit.records.set_status(list(edit.rows("records"))[-1], "Record Locked")
    refresher = account.refresher()
    first = refresher.run("records")["records"]
    assert first.parts[0].state["tail"] is not None
    assert again(refresher, first).unchanged


def test_a_state_is_empty_before_the_last_row_has_passed(account: Account) -> None:
    stream = account.refresher().sdk.records.refresh(STUDY)
    assert stream.refresh.state() == {}
    next(stream)
    stream.close()
    assert stream.refresh.state() == {}


def test_a_state_holds_no_value_of_a_row(account: Account) -> None:
    refresher = account.refresher()
    parts = refresher.run("records")["records"].parts
    for part in parts:
        assert part.state.keys() == {
            "endpoint",
            "rule",
            "registry",
            "study",
            "pair",
            "blinding",
            "shape",
            "rows",
            "withheld",
            "watermark",
            "since",
            "tail",
            "read_whole_at",
        }
    assert parts[0].state["tail"] != parts[1].state["tail"]


def test_the_part_of_a_stream_closed_unread_is_not_read(account: Account) -> None:
    """Half a table is never stored: the other part ends with an error."""
    refresher = account.refresher()
    parts = split_withheld("records", refresher.sdk.records.refresh(STUDY))
    parts.table.close()
    with pytest.raises(ImednetError, match="closed unread"):
        next(parts.withheld)


def test_closing_the_open_part_ends_the_withheld_one(account: Account) -> None:
    refresher = account.refresher()
    parts = split_withheld("records", refresher.sdk.records.refresh(STUDY))
    assert not parts.table.refresh.unchanged
    parts.table.close()
    with pytest.raises(ImednetError, match="ended early"):
        next(parts.withheld)


def test_a_version_without_a_state_can_be_replaced(account: Account) -> None:
    """Tables that an earlier release stored have none."""
    refresher = account.refresher()
    first = refresher.run("records")["records"]
    first.parts[0].state = {}
    result = again(refresher, first)
    assert result.changes.unchanged == first.parts[0].num_rows
    assert isinstance(first.previous(), PreviousResult)
