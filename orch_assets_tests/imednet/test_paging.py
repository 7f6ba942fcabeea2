"""Reconciliation of a table that changes during the reading."""

import gc
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets.errors import IncompleteTableError
from orch_assets.imednet.api_request import ApiRequest
from orch_assets.imednet.pages import Page
from orch_assets.imednet.paging import TableRead
from orch_assets.imednet.progress import ReadingCounts
from orch_assets_tests.imednet.rows import PagesOfATest

SIZE = 3


class Registry:
    """Rows that consist of an ID only; ``before`` may change them before a page is served."""

    def __init__(
        self, ids: list[Any], before: Callable[["Registry", int], None] | None = None
    ) -> None:
        self.ids = sorted(ids)
        self.before = before
        self.asked: list[int] = []

    def __call__(self, number: int, abandoned: threading.Event) -> Page[list[Any]]:
        if self.before:
            self.before(self, len(self.asked))
        self.asked.append(number)
        return self.page(number)

    def page(self, number: int) -> Page[list[Any]]:
        ids = self.ids[number * SIZE : (number + 1) * SIZE]
        total = len(self.ids)
        return Page(number, number, total, -(-total // SIZE), ids, ids)


def read(registry: Any, *, hold: bool = True, window: int = 1) -> tuple[list[Any], ReadingCounts]:
    fetch = PagesOfATest(registry)
    reading = TableRead(
        ApiRequest("/rows", "A"), fetch, size=SIZE, window=lambda _: window, hold=hold
    )
    return [one for ids in reading.contents() for one in ids], reading.counts


@pytest.mark.parametrize("hold", [True, False])
@pytest.mark.parametrize("window", [1, 4])
@pytest.mark.parametrize("rows", range(11))
def test_a_quiet_table_is_read_whole(rows: int, window: int, hold: bool) -> None:
    registry = Registry(list(range(rows)))
    ids, counts = read(registry, hold=hold, window=window)
    assert ids == list(range(rows))
    assert counts == ReadingCounts(rows, rows, max(-(-rows // SIZE), 1), 0)
    assert sorted(registry.asked) == list(range(rows // SIZE + 1))


@given(
    ids=st.sets(st.integers(0, 30), max_size=16),
    changes=st.dictionaries(st.integers(0, 12), st.sets(st.integers(0, 30), max_size=3)),
    adding=st.booleans(),
    hold=st.booleans(),
)
def test_what_was_there_all_the_time_is_in_the_table_once(
    ids: set[int], changes: dict[int, set[int]], adding: bool, hold: bool
) -> None:
    """During the reading, rows are only added or only deleted."""

    def change(registry: Registry, request: int) -> None:
        changed = changes.get(request, set())
        now = set(registry.ids)
        registry.ids = sorted(now | changed if adding else now - changed)

    registry = Registry(sorted(ids), change)
    try:
        arrived, counts = read(registry, hold=hold)
    except IncompleteTableError:
        return
    always, ever = ids & set(registry.ids), ids | set(registry.ids)
    assert len(arrived) == len(set(arrived)) == counts.arrived == counts.expected
    assert always <= set(arrived) <= ever


@pytest.mark.parametrize("request_number", range(5))
@pytest.mark.parametrize("added", [-1, 4, 100])
def test_a_row_added_once_does_not_stop_a_table(request_number: int, added: int) -> None:
    def change(registry: Registry, request: int) -> None:
        if request == request_number:
            registry.ids = sorted([*registry.ids, added])

    ids, counts = read(Registry([0, 1, 2, 3, 5, 6, 7, 8, 9], change))
    assert {0, 1, 2, 3, 5, 6, 7, 8, 9} <= set(ids)
    assert counts.arrived == counts.expected == len(ids)


@pytest.mark.parametrize("request_number", range(5))
@pytest.mark.parametrize("deleted", [0, 4, 9])
def test_a_row_deleted_once_does_not_stop_a_table(request_number: int, deleted: int) -> None:
    def change(registry: Registry, request: int) -> None:
        if request == request_number:
            registry.ids.remove(deleted)

    ids, counts = read(Registry(list(range(10)), change))
    assert set(range(10)) - {deleted} <= set(ids)
    assert counts.arrived == counts.expected == len(ids)


def test_rows_added_at_the_end_do_not_stop_a_stream() -> None:
    """The ordinary case: data is entered while a long table is read."""

    def grow(registry: Registry, request: int) -> None:
        if request % 2 and request < 40:
            registry.ids.append(len(registry.ids))

    ids, _ = read(Registry(list(range(30)), grow), hold=False)
    assert ids == list(range(len(ids)))
    assert len(ids) > 30


def test_a_stream_whose_yielded_rows_moved_is_an_error() -> None:
    def change(registry: Registry, request: int) -> None:
        if request == 3:
            registry.ids.remove(0)

    arrived: list[list[int]] = []
    fetch = PagesOfATest(Registry(list(range(12)), change))
    reading = TableRead(ApiRequest("/rows", "A"), fetch, size=SIZE, window=lambda _: 1)
    with pytest.raises(IncompleteTableError, match="rows moved") as caught:
        arrived.extend(ids for ids in reading.contents())
    assert arrived == [[0, 1, 2], [3, 4, 5]]
    error = caught.value
    assert (error.endpoint, error.study_key, error.page) == ("/rows", "A", 2)
    assert error.arrived == 9


def test_a_table_that_moves_all_the_time_is_an_error() -> None:
    def change(registry: Registry, request: int) -> None:
        if request % 2:
            registry.ids.pop(0)

    with pytest.raises(IncompleteTableError):
        read(Registry(list(range(40)), change))


def once(number: int, wrong: Callable[[Page[Any]], dict[str, Any]]) -> Callable[..., Page[Any]]:
    """Serve an unchanging table whose page of that number is wrong the first time."""
    registry = Registry(list(range(9)))
    seen: set[int] = set()

    def fetch(asked: int, abandoned: threading.Event) -> Page[Any]:
        page = registry(asked, abandoned)
        if asked != number or asked in seen:
            return page
        seen.add(asked)
        facts = {**vars(page), **wrong(page)}
        return Page(**{**facts, "content": facts["ids"]})

    return fetch


WRONGS: dict[str, Callable[[Page[Any]], dict[str, Any]]] = {
    "another page": lambda page: {"current": page.number + 1},
    "empty": lambda page: {"ids": []},
    "short": lambda page: {"ids": page.ids[:-1]},
    "long": lambda page: {"ids": [*page.ids, 77]},
    "a row twice": lambda page: {"ids": [page.ids[0], page.ids[0], page.ids[2]]},
    "out of order": lambda page: {"ids": page.ids[::-1]},
    "totals halved": lambda page: {"total": page.total // 2},
    "totals to a page's end": lambda page: {"total": (page.number + 1) * SIZE, "total_pages": None},
    "pages miscounted": lambda page: {"total_pages": 9},
    "the page before": lambda page: {"ids": [one - SIZE for one in page.ids]},
    "the page behind": lambda page: {"ids": [one + SIZE for one in page.ids]},
    "shifted by one": lambda page: {"ids": [one + 1 for one in page.ids]},
}


# On the last page, rows that nobody else knows of can't be told from right ones.
UNSEEN = {("the page behind", 2), ("shifted by one", 2), ("the page before", 0)}


@pytest.mark.parametrize("hold", [True, False])
@pytest.mark.parametrize(
    ("wrong", "number"),
    [(wrong, number) for wrong in WRONGS for number in range(3) if (wrong, number) not in UNSEEN],
)
def test_a_page_that_is_wrong_once_is_read_again(wrong: str, number: int, hold: bool) -> None:
    ids, counts = read(once(number, WRONGS[wrong]), hold=hold)
    assert ids == list(range(9))
    if (wrong, number) != ("totals to a page's end", 2):  # there it is right
        assert counts.retries > 0


def test_a_full_last_page_is_probed_for_totals_that_are_too_low() -> None:
    def fetch(number: int, abandoned: threading.Event) -> Page[Any]:
        page = Registry(list(range(12))).page(number)
        return Page(**{**vars(page), "total": 6, "total_pages": 2})

    with pytest.raises(IncompleteTableError, match="received 3 rows; a total of 6 implies 0"):
        read(fetch)


def test_text_ids_need_no_order_but_must_be_unique() -> None:
    names = ["b", "A", "ä", "a", "B", "0", "z"]

    def fetch(number: int, abandoned: threading.Event) -> Page[Any]:
        ids = names[number * SIZE : (number + 1) * SIZE]
        return Page(number, number, len(names), 3, ids, ids)

    assert read(fetch)[0] == names
    names[6] = "A"
    with pytest.raises(IncompleteTableError):
        read(fetch)


def test_pages_in_flight_are_bounded_and_carry_the_context() -> None:
    study: ContextVar[str] = ContextVar("study", default="none")
    study.set("A")
    lock = threading.Lock()
    flying = most = 0
    seen = set()

    def fetch(number: int, abandoned: threading.Event) -> Page[Any]:
        nonlocal flying, most
        with lock:
            flying += 1
            most = max(most, flying)
            seen.add(study.get())
        time.sleep(0.01)
        with lock:
            flying -= 1
        return Registry(list(range(60))).page(number)

    assert read(fetch, window=4)[0] == list(range(60))
    assert (most, seen) == (4, {"A"})


@pytest.mark.parametrize("how", ["close", "drop"])
def test_an_abandoned_reading_stops_fetching_and_leaves_no_thread(how: str) -> None:
    registry = Registry(list(range(3000)))
    told: list[threading.Event] = []

    def fetch(number: int, abandoned: threading.Event) -> Page[Any]:
        told.append(abandoned)
        time.sleep(0.005)
        return registry(number, abandoned)

    reading = TableRead(ApiRequest("/rows"), PagesOfATest(fetch), size=SIZE, window=lambda _: 4)
    contents = reading.contents()
    next(contents)
    if how == "close":
        contents.close()
    del contents
    gc.collect()
    assert all(event.is_set() for event in told)
    deadline = time.monotonic() + 5
    while any(thread.name.startswith("registry-page") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert len(registry.asked) < 40  # of a thousand
