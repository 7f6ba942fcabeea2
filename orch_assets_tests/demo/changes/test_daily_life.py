"""A day of the account's life: how much changes, that it is plausible, and always the same."""

import hashlib
import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from datetime import timedelta

import pytest

from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.demo.read_api import STUDY_ENDPOINTS
from orch_assets.demo.row_tables import Row

STUDY = "ONC-301"
BEFORE, AFTER = "2025-06-30 12:00:01", "2025-07-01 12:00:01"


def rows_of(registry: DemoRegistry, study_key: str = STUDY) -> dict[str, list[Row]]:
    return {name: list(registry.rows(name, study_key)) for name in STUDY_ENDPOINTS}


@pytest.fixture(scope="module")
def days() -> list[dict[str, list[Row]]]:
    """The rows of a study of about 7,000 records before, and after, each of three days."""
    registry = DemoRegistry(studies=0)
    registry.add_study(STUDY, subjects=300)
    days = [rows_of(registry)]
    for _ in range(3):
        registry.live_day()
        days.append(rows_of(registry))
    return days


def test_a_day_changes_as_many_records_as_a_day_does(days: list[dict[str, list[Row]]]) -> None:
    """0.7 % edited, 0.2 % added, 0.1 % deleted; one more or less, by chance."""
    for earlier, later in itertools.pairwise(days):
        old = {row["recordId"]: row for row in earlier["records"]}
        kinds: Counter[str] = Counter()
        for row in later["records"]:
            before = old.pop(row["recordId"], None)
            if before is None:
                kinds["added"] += 1
            elif before != row:
                kinds["deleted" if row["deleted"] != before["deleted"] else "edited"] += 1
        total = len(earlier["records"])
        assert old == {}
        assert total > 6000
        for kind, share in {"edited": 0.007, "added": 0.002, "deleted": 0.001}.items():
            assert abs(kinds[kind] - share * total) <= 1, kind


def test_what_changed_is_dated_within_the_day(days: list[dict[str, list[Row]]]) -> None:
    for name in ("records", "queries", "subjects", "codings", "recordRevisions"):
        field = {"codings": "dateCoded", "recordRevisions": "dateCreated"}.get(name, "dateModified")
        key = STUDY_ENDPOINTS[name].id
        old = {row[key]: row for row in days[0][name]}
        changed = [row for row in days[1][name] if old.get(row[key]) != row]
        assert changed, name
        assert all(BEFORE <= row[field] < AFTER for row in changed), name


def test_a_day_has_queries_in_every_state_and_codings(days: list[dict[str, list[Row]]]) -> None:
    new = [
        comment["annotationStatus"]
        for query in days[1]["queries"]
        for comment in query["queryComments"]
        if comment["date"] >= BEFORE
    ]
    assert set(new) == {"Query Open", "Query Responded", "Query Closed"}
    coded = [row for row in days[1]["codings"] if row["dateCoded"] >= BEFORE]
    assert {row["revision"] == 1 for row in coded} == {True, False}


def test_a_days_edits_are_by_the_sites_staff_and_have_reasons(
    days: list[dict[str, list[Row]]],
) -> None:
    new = days[3]["recordRevisions"][len(days[0]["recordRevisions"]) :]
    sites = {user["login"] for user in days[0]["users"] if user["roles"][0]["type"] == "SITE"}
    assert {row["user"] for row in new} <= sites
    assert len({row["user"] for row in new}) > 3
    assert all(row["reasonForChange"] for row in new if row["recordRevision"] > 1)


def test_a_blinded_answer_does_not_change_on_a_normal_day(
    days: list[dict[str, list[Row]]],
) -> None:
    old = {row["recordId"]: row["recordData"] for row in days[0]["records"]}
    for row in days[3]["records"]:
        for name in ("ARM", "KITNO", "DSUNBL"):
            assert row["recordData"].get(name) == old.get(row["recordId"], {}).get(name)


def test_the_same_seed_and_days_give_the_same_account_in_every_process() -> None:
    """Also where Python orders sets differently."""
    code = (
        "import hashlib, json; from orch_assets_tests.demo.changes.test_daily_life import *;"
        "print(digest(DemoRegistry(studies=2, subjects=10, days=3)))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert outputs == {f"{digest(DemoRegistry(studies=2, subjects=10, days=3))}\n"}


def digest(registry: DemoRegistry) -> str:
    tables = {key: rows_of(registry, key) for key in registry.study_keys()}
    return hashlib.sha256(json.dumps(tables).encode()).hexdigest()


def test_a_late_account_dates_its_day_earlier() -> None:
    registry = DemoRegistry(studies=1, subjects=10)
    before = len(registry.rows("recordRevisions", STUDY))
    registry.clock.late = timedelta(days=1)
    registry.live_day()
    new = registry.rows("recordRevisions", STUDY)[before:]
    assert new
    assert all("2025-06-29 12:00:01" <= row["dateCreated"] < BEFORE for row in new)
    assert registry.clock.text == AFTER


def test_another_seed_gives_another_day() -> None:
    one, same, other = (DemoRegistry(studies=1, subjects=10) for _ in range(3))
    one.live_day()
    same.live_day(7)  # the seed of all data
    other.live_day(8)
    assert rows_of(one) == rows_of(same)
    assert rows_of(one)["records"] != rows_of(other)["records"]


def test_a_studys_day_does_not_depend_on_the_other_studies() -> None:
    assert rows_of(DemoRegistry(studies=1, days=2)) == rows_of(DemoRegistry(studies=3, days=2))


def test_studies_without_subjects_and_with_many_forms_live_too() -> None:
    registry = DemoRegistry(studies=0)
    registry.add_study("EMPTY", subjects=0)
    registry.add_study("LARGE", subjects=8, forms=100, variables=2000)
    before = rows_of(registry, "EMPTY")
    for _ in range(5):
        registry.live_day()
    assert rows_of(registry, "EMPTY") == before
    assert len(rows_of(registry, "LARGE")["recordRevisions"]) > 0
    assert registry.clock.text == "2025-07-05 12:00:01"


def test_days_lived_at_first_use_are_those_lived_one_by_one() -> None:
    """Rows, what is sent, the clock, and which IDs are new."""
    begun_later, lived = DemoRegistry(studies=2, subjects=10, days=4), DemoRegistry(2, 10)
    for _ in range(4):
        lived.live_day()
    assert not begun_later.made_up(STUDY)
    assert begun_later.clock.text == lived.clock.text
    assert digest(begun_later) == digest(lived)
    for registry in (begun_later, lived):
        registry.live_day()
    assert digest(begun_later) == digest(lived)


def test_the_server_serves_the_account_after_days() -> None:
    assert rows_of(DemoServer(studies=1, subjects=5, days=2).registry) == rows_of(
        DemoRegistry(studies=1, subjects=5, days=2)
    )
