"""What a reading tells while it goes on."""

import logging
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from orch_assets.registry import progress
from orch_assets.registry.calls import Call
from orch_assets.registry.paging import Page, Reading
from orch_assets_tests.registry.rows import as_received

SIZE = 2


def reading(rows: int) -> Iterator[Any]:
    def fetch(number: int, abandoned: threading.Event) -> Page[list[int]]:
        ids = list(range(rows))[number * SIZE : (number + 1) * SIZE]
        return Page(number, number, rows, -(-rows // SIZE), ids, ids, retries=number % 2)

    call = Call("/studies/A/records", "A")
    return Reading(call, as_received(fetch), size=SIZE, window=lambda: 1).contents()


def test_a_reading_is_among_those_under_way_from_its_first_row_to_its_last() -> None:
    assert progress.readings_under_way() == []
    contents = reading(5)
    next(contents)
    (one,) = progress.readings_under_way()
    assert (one.study_key, one.endpoint, one.pages) == ("A", "records", 3)
    assert (one.counts.pages, one.counts.arrived, one.counts.retries) == (2, 4, 1)
    assert re.fullmatch(r"A records: page 2 of 3, 4 rows, [\d,]+ rows/s, 1 retries", str(one))
    assert list(contents)
    assert progress.readings_under_way() == []


def test_a_reading_that_is_dropped_is_under_way_no_more() -> None:
    contents = reading(5)
    next(contents)
    contents.close()
    assert progress.readings_under_way() == []


def test_a_long_reading_tells_how_far_it_is_and_a_short_one_does_not(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "orch_assets.registry")
    list(reading(9))
    assert caplog.messages == []
    monkeypatch.setattr(progress, "_TELL_SECONDS", 0.0)
    list(reading(3))
    assert [line.split(",")[0] for line in caplog.messages] == [
        "A records: page 1 of 2",
        "A records: page 2 of 2",
    ]
