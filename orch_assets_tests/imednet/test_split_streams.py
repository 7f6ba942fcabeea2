"""A stream split while it arrives: two exact parts, or no part."""

import itertools
import threading
from concurrent.futures import Future
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets.errors import ImednetError, IncompleteTableError
from orch_assets.imednet.blinding import split_stream as split_streams
from orch_assets.imednet.blinding.split_stream import SplitStream
from orch_assets.imednet.progress import ReadingCounts
from orch_assets.imednet.streams import BatchStream

SCHEMA = pa.schema([("id", pa.int64())])
MOVED = IncompleteTableError("rows moved", expected=9, arrived=3, endpoint="/rows", page=1)


def by_parity(table: Any) -> Any:
    """Even IDs are open, odd ones withheld."""
    odd = pa.array([one % 2 == 1 for one in table["id"].to_pylist()], pa.bool_())
    even = pa.array([not one.as_py() for one in odd], pa.bool_())
    return table.filter(even), table.filter(odd)


def stream(batches: Any, error: Exception | None = None) -> BatchStream:
    def items() -> Any:
        for ids in batches:
            yield pa.record_batch([pa.array(ids, pa.int64())], schema=SCHEMA)
        if error is not None:
            raise error

    return BatchStream(items(), ReadingCounts(), SCHEMA)


def ids_of(part: BatchStream) -> list[int]:
    return [one for batch in part for one in batch["id"].to_pylist()]


def beside(work: Any) -> "Future[Any]":
    """Do it on a thread of its own."""
    outcome: Future[Any] = Future()

    def do() -> None:
        try:
            outcome.set_result(work())
        except Exception as error:  # noqa: BLE001 - raised where the result is asked for
            outcome.set_exception(error)

    threading.Thread(target=do, daemon=True).start()
    return outcome


@given(st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=40), st.booleans())
def test_both_parts_are_exact_whatever_the_batches(
    batches: list[list[int]], withheld_first: bool
) -> None:
    split = SplitStream(stream(batches), by_parity)
    parts = [split.withheld, split.table] if withheld_first else [split.table, split.withheld]
    first = beside(lambda: ids_of(parts[0]))
    found = {id(parts[1]): ids_of(parts[1]), id(parts[0]): first.result(10)}
    ids = list(itertools.chain(*batches))
    assert found[id(split.table)] == [one for one in ids if one % 2 == 0]
    assert found[id(split.withheld)] == [one for one in ids if one % 2 == 1]


def test_the_schemas_and_the_counts_are_known_before_the_first_batch() -> None:
    source = stream([])
    split = SplitStream(source, lambda table: (table, table.append_column("why", [[]])))
    assert split.table.schema == SCHEMA
    assert split.withheld.schema.names == ["id", "why"]
    assert split.table.counts is split.withheld.counts is source.counts


@pytest.mark.parametrize("read", [[], [[1, 2]], [[1]] * 60])
def test_an_error_of_the_reading_ends_both_parts(read: list[list[int]]) -> None:
    split = SplitStream(stream(read, MOVED), by_parity)
    withheld = beside(lambda: ids_of(split.withheld))
    with pytest.raises(IncompleteTableError) as caught:
        ids_of(split.table)
    assert caught.value is MOVED
    with pytest.raises(ImednetError, match="withheld one is incomplete"):
        withheld.result(10)


def test_an_error_before_anybody_reads_the_withheld_part_is_found_by_who_does() -> None:
    """The other thread may be slow to begin: the reading's own error must not wait for it."""
    split = SplitStream(stream([], MOVED), by_parity)
    with pytest.raises(IncompleteTableError) as caught:
        ids_of(split.table)
    assert caught.value is MOVED
    with pytest.raises(ImednetError, match="withheld one is incomplete"):
        beside(lambda: ids_of(split.withheld)).result(10)


@pytest.mark.parametrize("read_before", [0, 1])
def test_closing_the_open_part_ends_the_withheld_one(read_before: int) -> None:
    source = stream([[1, 2], [3, 4], [5, 6]])
    split = SplitStream(source, by_parity)
    withheld = beside(lambda: ids_of(split.withheld))
    for _ in range(read_before):
        next(split.table)
    split.table.close()
    with pytest.raises(ImednetError, match="withheld one is incomplete"):
        withheld.result(10)
    assert list(source) == []


@pytest.mark.parametrize("read_before", [0, 1])
def test_closing_the_withheld_part_ends_the_open_one(read_before: int) -> None:
    """More is withheld than may wait for a reader, so that the open part would wait for ever."""
    split = SplitStream(stream([[1, 2]] * 60), by_parity)

    def read_and_leave() -> None:
        with split.withheld:
            for _ in range(read_before):
                next(split.withheld)

    left = beside(read_and_leave)
    with pytest.raises(ImednetError, match="no longer read"):
        beside(lambda: ids_of(split.table)).result(10)
    left.result(10)


def test_closing_the_open_part_waits_for_no_reader_of_the_withheld_one() -> None:
    """As many batches wait as may, and their reader neither reads on nor leaves."""
    split = SplitStream(stream([[1, 2]] * 60), by_parity)
    began = beside(lambda: next(split.withheld))
    for _ in range(split_streams._MAX_WAITING):
        next(split.table)
    began.result(10)
    next(split.table)
    beside(split.table.close).result(10)
    with pytest.raises(ImednetError, match="withheld one is incomplete"):
        ids_of(split.withheld)


@pytest.mark.parametrize("alone", ["table", "withheld"])
def test_a_part_that_is_read_alone_says_so(alone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_streams, "_ALONE_SECONDS", 0.05)
    for batches in ([], [[2]], [[1, 2], [3]]):
        part = getattr(SplitStream(stream(batches), by_parity), alone)
        with pytest.raises(ImednetError, match="both parts of a split stream at once"):
            ids_of(part)
