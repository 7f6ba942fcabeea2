"""The progress that a reading reports."""

import contextlib
import dataclasses
import itertools
import logging
import re
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from orch_assets.demo import DemoServer
from orch_assets.imednet import RequestLimiter, http, progress
from orch_assets.imednet.api_request import ApiRequest
from orch_assets.imednet.endpoints import Access
from orch_assets.imednet.http import RegistryHttp
from orch_assets.imednet.pages import Page
from orch_assets.imednet.paging import TableRead
from orch_assets.imednet.progress import ReadingCounts
from orch_assets.imednet.settings import RegistrySettings
from orch_assets_tests.imednet.rows import PagesOfATest

SIZE = 2


def reading(rows: int) -> Iterator[Any]:
    def fetch(number: int, abandoned: threading.Event) -> Page[list[int]]:
        ids = list(range(rows))[number * SIZE : (number + 1) * SIZE]
        return Page(number, number, rows, -(-rows // SIZE), ids, ids)

    call = ApiRequest("/studies/A/records", "A")
    pages = PagesOfATest(fetch, retries=lambda number: number % 2)
    return TableRead(call, pages, size=SIZE, window=lambda _: 1).contents()


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


def test_a_reading_is_collected_in_the_middle_of_a_look_at_those_under_way() -> None:
    """The garbage collector may close an abandoned reading at any line."""
    contents = reading(5)
    next(contents)

    def collect() -> None:
        with progress._lock:
            contents.close()

    collecting = threading.Thread(target=collect, daemon=True)
    collecting.start()
    collecting.join(10)
    assert not collecting.is_alive()
    assert progress.readings_under_way() == []


def test_the_oldest_of_a_few_readings_has_a_page_more_at_work_than_the_others() -> None:
    settings = RegistrySettings("key", "key", "http://127.0.0.1:1", 1.0, None)
    limiter = RequestLimiter(8)
    with httpx.Client() as client:
        access = Access(RegistryHttp(settings, client, limiter), 500, None)
    first, second, third, fourth = (
        progress.ReadingProgress("A", "records", 500, ReadingCounts()) for _ in range(4)
    )
    with progress.under_way(second), progress.under_way(third), progress.under_way(fourth):
        with progress.under_way(first):  # the last of them to begin
            assert list(map(access.pages_at_once, (first, second, third, fourth))) == [3, 4, 3, 3]
        assert list(map(access.pages_at_once, (second, third, fourth))) == [4, 3, 3]
        limiter.maximum = 2
        assert list(map(access.pages_at_once, (second, third, fourth))) == [1, 1, 1]
        limiter.maximum = 8
    with progress.under_way(first):
        assert access.pages_at_once(first) == 9
        with progress.under_way(second):
            fixed = dataclasses.replace(access, window=3)
            assert list(map(fixed.pages_at_once, (first, second))) == [3, 3]


def test_the_limit_of_requests_is_shared_whatever_time_answers_take(
    server: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = server.api_key, server.security_key
    settings = RegistrySettings(*keys, server.base_url, 10.0, None)
    for milliseconds in (0, 60):
        clock = SimpleNamespace(monotonic=itertools.count(0.0, milliseconds / 1000).__next__)
        monkeypatch.setattr(http, "time", clock)
        with httpx.Client() as client, contextlib.ExitStack() as under_way:
            access = Access(RegistryHttp(settings, client, RequestLimiter(8)), 500, None)
            access.http.fetch(ApiRequest("/studies"))
            found = []
            for _ in range(4):
                one = progress.ReadingProgress("A", "records", 500, ReadingCounts())
                under_way.enter_context(progress.under_way(one))
                found.append(access.pages_at_once(progress.readings_under_way()[0]))
        assert found == [9, 6, 4, 4]


def test_a_long_reading_tells_how_far_it_is_and_a_short_one_does_not(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "orch_assets.imednet")
    list(reading(9))
    assert caplog.messages == []
    monkeypatch.setattr(progress, "_LOG_SECONDS", 0.0)
    list(reading(3))
    assert [line.split(",")[0] for line in caplog.messages] == [
        "A records: page 1 of 2",
        "A records: page 2 of 2",
    ]
