"""Small counts are merged: none is shown, none can be calculated, and totals stay right."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets.charts.small_cells import Cells, merge_named, merge_ordered, min_cell
from orch_assets.errors import SettingError

LIMITS = st.integers(1, 12)


def cells_of(*counts):
    return [Cells((f"c{n}",), each if isinstance(each, tuple) else (each,)) for n, each in
            enumerate(counts)]  # fmt: skip


def counts_of(cells):
    return [cell.total for cell in cells]


@given(st.lists(st.integers(0, 20), max_size=30), LIMITS)
def test_no_neighbouring_cell_that_is_shown_is_small_but_the_whole(counts, limit):
    cells = cells_of(*counts)
    merged = merge_ordered(cells, limit)
    small = [cell for cell in merged if cell.has_small(limit)]
    assert not small or counts_of(small) == [sum(counts)]
    assert sum(counts_of(merged)) == sum(counts)
    assert [label for cell in merged for label in cell.labels] == [c.labels[0] for c in cells]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 20)), max_size=20), st.integers(1, 6)
)  # fmt: skip
def test_no_series_of_neighbouring_cells_is_small_but_in_the_whole(counts, limit):
    merged = merge_ordered(cells_of(*counts), limit)
    assert len(merged) <= 1 or not any(cell.has_small(limit) for cell in merged)
    totals = [tuple(sum(series) for series in zip(*table, strict=True)) for table in (
        [cell.counts for cell in merged], counts)]  # fmt: skip
    assert totals[0] == totals[1]


@given(st.lists(st.integers(0, 20), max_size=30), LIMITS, st.none() | st.integers(2, 8))
def test_no_named_cell_that_is_shown_is_small_but_the_whole(counts, limit, most):
    cells = cells_of(*counts)
    merged = merge_named(cells, limit, most)
    small = [cell for cell in merged if cell.has_small(limit)]
    assert not small or counts_of(small) == [sum(counts)]
    assert sum(counts_of(merged)) == sum(counts)
    labels = Counter(label for cell in merged for label in cell.labels)
    assert labels == Counter(cell.labels[0] for cell in cells)
    assert most is None or len(merged) <= most


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30), st.integers(2, 12))
def test_the_total_minus_the_shown_cells_is_never_one_small_cell(counts, limit):
    """Complementary suppression: what is merged is not small itself, and has two names or more."""
    merged = merge_named(cells_of(*counts), limit)
    hidden = [cell for cell in merged if len(cell.labels) > 1]
    assert all(cell.total >= limit for cell in hidden) or sum(counts) < limit
    alone = [cell for cell in merged if len(cell.labels) == 1 and cell.has_small(limit)]
    assert not alone or sum(counts) < limit


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ([], []),
        ([0, 0], [0, 0]),
        ([7, 3], [10]),
        ([3, 0, 0, 9], [12]),
        ([0, 9, 4], [0, 13]),
        ([5, 4, 1, 6], [5, 5, 6]),
        ([1, 2], [3]),
    ],
)
def test_a_small_cell_is_merged_with_its_neighbour(counts, shown):
    assert counts_of(merge_ordered(cells_of(*counts), 5)) == shown


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ([10, 20, 3], [20, 13]),
        ([10, 20, 3, 4], [20, 10, 7]),
        ([10, 20, 1, 2], [20, 13]),
        ([10, 0, 8], [10, 8, 0]),
        ([3], [3]),
    ],
)
def test_small_names_are_merged_into_one_that_takes_in_the_next_if_it_must(counts, shown):
    assert counts_of(merge_named(cells_of(*counts), 5)) == shown


def test_a_limit_of_one_merges_nothing():
    assert counts_of(merge_ordered(cells_of(1, 0, 2), 1)) == [1, 0, 2]
    assert counts_of(merge_named(cells_of(1, 0, 2), 1)) == [2, 1, 0]


def test_the_limit_is_a_setting_with_a_default(monkeypatch):
    monkeypatch.delenv("ORCH_MIN_CELL", raising=False)
    assert min_cell() == 5
    monkeypatch.setenv("ORCH_MIN_CELL", " 11 ")
    assert min_cell() == 11


@pytest.mark.parametrize("text", ["0", "-1", "five", "2.5", "٣"])
def test_a_limit_that_is_no_positive_number_is_refused(text, monkeypatch):
    monkeypatch.setenv("ORCH_MIN_CELL", text)
    with pytest.raises(SettingError, match="ORCH_MIN_CELL"):
        min_cell()
