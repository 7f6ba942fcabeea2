"""Whoever saves a record, and whenever its tables are read: no change names the wrong user.

The account saves a record and its revision at once. Only the revision's date may be later.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given, settings

from orch_assets import ImednetSDK, LocalPipelineStore, PreviousResult, TableHistory
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.imednet.blinding.study_dictionary import StudyDictionary
from orch_assets.imednet.history.record_history import record_change_tables
from orch_assets.imednet.refresh.endpoint_rules import REVISION_DELAY
from orch_assets.imednet.refresh.table_state import TableState
from orch_assets_tests.imednet.history.stored_study import STUDY

START = datetime(2025, 7, 1, 8, tzinfo=UTC)
RECORDS = (1, 2)
MOMENT = pa.timestamp("us", tz="UTC")

gaps = st.one_of(st.integers(0, 3), st.integers(0, 61), st.sampled_from([120, 3600, 86_400]))
delays = st.one_of(st.integers(0, 2), st.integers(0, 60))
saves = st.tuples(st.just("save"), st.sampled_from(RECORDS), gaps, delays)
steps = st.one_of(saves, saves, st.tuples(st.sampled_from(["records", "revisions", "compare"])))


@dataclass(frozen=True)
class Save:
    """A save of a record. Its ID is its revision's, and stands in the record and for the user."""

    id: int
    record: int
    date: datetime
    revision_date: datetime


LATER = Save(0, 0, datetime.max.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


class Account:
    """An account with two records, and what is stored of it."""

    def __init__(self, folder: Path, dictionary: StudyDictionary, delay: int) -> None:
        self.store = LocalPipelineStore(folder)
        self.dictionary = dictionary
        self.now = START
        self.saves: list[Save] = []
        self.read_revisions: set[int] = set()
        self.listed: Counter[int] = Counter()
        for record in RECORDS:
            self.save(record, 0, delay)
        for step in ("records", "revisions", "compare"):
            getattr(self, step)()

    def save(self, record: int, gap: int, delay: int) -> None:
        self.now += timedelta(seconds=gap)
        dates = self.now, self.now + timedelta(seconds=delay)
        self.saves.append(Save(len(self.saves) + 1, record, *dates))

    def records(self) -> None:
        last = {each.record: each for each in self.saves}
        table = pa.table(
            {
                "record_id": pa.array(RECORDS),
                "record_status": pa.array([last[each].id for each in RECORDS]),
                "date_modified": pa.array([last[each].date for each in RECORDS], MOMENT),
            }
        )
        self.store.publish(
            table, "records", state=state_of(max(each.date for each in last.values()))
        )

    def revisions(self) -> None:
        self.read_revisions = {each.id for each in self.saves}
        table = pa.table(
            {
                "record_revision_id": pa.array([each.id for each in self.saves]),
                "record_id": pa.array([each.record for each in self.saves]),
                "date_created": pa.array([each.revision_date for each in self.saves], MOMENT),
                **{
                    name: pa.array([str(each.id) for each in self.saves])
                    for name in ("user", "role", "reason_for_change", "form_key")
                },
            }
        )
        self.store.publish(table, "revisions")

    def compare(self) -> list[dict[str, Any]]:
        """Return the rows that are added."""
        known = self.store.previous("record_changes")
        histories = (TableHistory(self.store.history(name)) for name in ("records", "revisions"))
        changes, _ = record_change_tables(
            *histories, self.dictionary, known and PreviousResult(known)
        )
        if changes.refresh is None or changes.refresh.unchanged:
            return []
        self.store.publish(changes, "record_changes")
        rows = self.store.download_table("record_changes").to_pylist()
        return rows[known.num_rows if known else 0 :]

    def check(self, row: dict[str, Any]) -> None:
        """Compare a row with what really happened."""
        if row["attribute"] != "record_status":  # the date of a save
            return
        first, last = json.loads(row["old_value"]), json.loads(row["new_value"])
        saves = [each for each in self.saves if each.record == row["record_id"]]
        made_it = {each.id for each in saves if first < each.id <= last}
        shown = {each.id for each in saves if each.id <= last}
        apart = min(after.date - before.date for before, after in pairwise([*saves, LATER]))
        self.listed.update(row["revision_ids"])
        is_single = row["attribution"] == "single"
        assert is_single or (row["user"], row["role"], row["reason_for_change"]) == (None,) * 3
        if shown <= self.read_revisions:
            assert row["attribution"] != "none"
            assert is_single or len(made_it) > 1 or apart <= REVISION_DELAY
            assert made_it <= self.listed.keys()
            assert not is_single or made_it == {int(row["user"])} == {*row["revision_ids"]}
        elif is_single:  # the missing revisions are of saves within a minute, or of nobody else
            user = int(row["user"])
            assert user in made_it
            assert self.saves[last - 1].date - self.saves[user - 1].date <= REVISION_DELAY


def state_of(watermark: datetime) -> dict[str, Any]:
    texts = dict.fromkeys(("endpoint", "registry", "study", "pair", "blinding", "shape"), "")
    state = TableState(
        **texts,
        rule=1,
        rows=len(RECORDS),
        withheld=False,
        watermark=watermark,
        since=None,
        tail=None,
        read_whole_at=START,
    )
    return state.as_json()


@pytest.fixture(scope="module")
def dictionary() -> Iterator[StudyDictionary]:
    registry = DemoRegistry(studies=0)
    registry.add_study(STUDY, subjects=1)
    server = DemoServer(registry).start()
    with ImednetSDK(server.api_key, server.security_key, server.base_url) as sdk:
        yield sdk.dictionary(STUDY)
    server.stop()


@settings(max_examples=60, deadline=None)
@given(delays, st.lists(steps, max_size=16))
def test_no_change_names_the_wrong_user(dictionary, delay, taken):
    with tempfile.TemporaryDirectory() as folder:
        account = Account(Path(folder), dictionary, delay)
        for step, *arguments in [*taken, ("records",), ("revisions",), ("compare",)]:
            for row in getattr(account, step)(*arguments) or ():
                account.check(row)
        assert {*account.listed.values()} <= {1}


READ = [("records",), ("revisions",), ("compare",)]
DAY = 86_400


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        pytest.param(
            [("save", 1, DAY, 1), *READ, ("save", 1, DAY, 1), *READ],
            [("single", [3]), ("single", [4])],
            id="revisions dated a moment later",
        ),
        pytest.param(
            [("save", 1, DAY, 0), ("records",), ("save", 1, DAY, 0), *READ[1:], *READ],
            [("single", [3]), ("single", [4])],
            id="saved again between the two readings",
        ),
        pytest.param(
            [("save", 1, DAY, 1), *READ[:2], ("save", 1, DAY, 1), *READ],
            [("single", [3]), ("single", [4])],
            id="two versions since the last comparison",
        ),
        pytest.param(
            [("save", 1, DAY, 1), ("save", 1, DAY, 1), *READ],
            [("ambiguous", [3, 4])],
            id="saved twice before it was read",
        ),
        pytest.param(
            [("save", 1, DAY, 0), ("records",), ("save", 1, 30, 0), *READ[1:], *READ],
            [("ambiguous", [3, 4]), ("ambiguous", [])],
            id="saved again within the minute, between the two readings",
        ),
        pytest.param(
            [("save", 1, DAY, 0), *READ, ("save", 1, 30, 0), *READ],
            [("single", [3]), ("ambiguous", [4])],
            id="saved again within the minute, after it was compared",
        ),
        pytest.param(
            [("revisions",), ("save", 1, DAY, 0), ("records",), ("compare",)],
            [("none", [])],
            id="its revision isn't there yet",
        ),
        pytest.param(
            [("save", 1, DAY, 0), ("revisions",), ("save", 1, DAY, 0), ("records",), ("compare",)],
            [("ambiguous", [3])],
            id="only its first revision is there yet",
        ),
        pytest.param(
            [
                *(("save", 1, DAY, 0), ("save", 1, 0, 0), ("save", 2, 1, 0), *READ),
                *(("save", 1, DAY, 0), *READ),
            ],
            [("ambiguous", [3, 4]), ("single", [5]), ("single", [6])],
            id="saved twice in a second, but read later, as the other record shows",
        ),
    ],
)
def test_the_revisions_of_a_change(dictionary, tmp_path, taken, expected):
    account = Account(tmp_path, dictionary, 0)
    rows = [row for step, *arguments in taken for row in getattr(account, step)(*arguments) or ()]
    assert [(row["attribution"], row["revision_ids"]) for row in rows] == expected
