"""Registries that understand filters in their own way, or commit late: right tables each time."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from orch_assets.demo import DemoRegistry, DemoServer, Fault
from orch_assets_tests.scenarios.refresh.studies import Study, study

NAMES = ("variables", "records", "forms", "form_tables", "record_revisions")
WHOLE = "read whole"


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Study]:
    with (
        DemoServer(DemoRegistry(studies=1, subjects=5)) as server,
        study(server, str(tmp_path / "stores")) as opened,
    ):
        opened.succeed(*NAMES)
        yield opened


@pytest.mark.parametrize(
    ("fault", "reading"),
    [
        (Fault("ignored_filter"), WHOLE),
        (Fault("refused_filter"), WHOLE),
        (Fault("other_zone", hours=-27), WHOLE),
        (Fault("other_zone", hours=9), "counted"),
    ],
    ids=["ignores filters", "refuses filters", "a zone behind", "a zone ahead"],
)
def test_a_registry_with_filters_of_its_own_gives_right_tables(
    fault: Fault, reading: str, at: Study, tmp_path: Path
) -> None:
    at.registry.live_day()
    at.server.faults.add(fault)
    told = at.succeed(*NAMES)
    at.server.faults.clear()
    assert told["records"]["refresh"] == reading
    at.assert_whole(tmp_path / "anew", *NAMES)


def test_a_registry_that_sorts_otherwise_changes_no_table(at: Study) -> None:
    before = at.stored(NAMES)
    at.registry.live_day()
    at.server.faults.add(Fault("other_order", "records"))
    result = at.run("variables", "records")["records"]
    assert result.failure is not None
    assert result.failure.kind == "IncompleteTableError"
    assert all(table.equals(before[name]) for name, table in at.stored(NAMES).items())


def test_what_is_committed_late_within_the_overlap_is_found(at: Study, tmp_path: Path) -> None:
    """Its date is earlier than those that the last run saw."""
    at.registry.live_day()
    at.succeed(*NAMES)
    change_late(at, minutes=40)
    told = at.succeed(*NAMES)
    assert (told["records"]["refresh"], told["records"]["rows_changed"]) == ("counted", 1)
    at.assert_whole(tmp_path / "anew", *NAMES)


def test_what_is_committed_later_than_the_overlap_is_found_by_a_longer_one(
    at: Study, tmp_path: Path
) -> None:
    at.registry.live_day()
    at.succeed(*NAMES, overlap=3 * 3600)
    change_late(at, minutes=150)
    told = at.succeed(*NAMES, overlap=3 * 3600)
    assert (told["records"]["refresh"], told["records"]["rows_changed"]) == ("counted", 1)
    at.assert_whole(tmp_path / "anew", *NAMES)


def test_what_is_committed_later_than_the_overlap_is_noticed_by_the_next_whole_reading(
    at: Study, tmp_path: Path
) -> None:
    at.registry.live_day()
    at.succeed(*NAMES)
    change_late(at, minutes=150)
    told = at.succeed("variables", "records")
    assert told["records"]["rows_changed"] == 0
    told = at.succeed(*NAMES, full=True)
    assert (told["records"]["refresh"], told["records"]["rows_changed"]) == (WHOLE, 1)
    at.assert_whole(tmp_path / "anew", *NAMES)


def change_late(at: Study, minutes: int) -> None:
    """Change a record with a date before the newest one."""
    newest = max(row["dateModified"] for row in at.registry.rows("records", at.key))
    moment = at.registry.clock.now.fromisoformat(f"{newest}+00:00") - timedelta(minutes=minutes)
    with at.registry.edit(at.key, at=moment) as edit:
        record = edit.records.find(formKey="VS", deleted=False)
        edit.records.set_status(record["recordId"], "Record Incomplete")
