"""Two versions of a table, compared row by row."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets.errors import ImednetError
from orch_assets.imednet.history.row_differences import row_differences

SCHEMA = pa.schema(
    [
        ("record_id", pa.int64()),
        ("text", pa.string()),
        ("deleted", pa.bool_()),
        ("score", pa.float64()),
        ("keywords", pa.list_(pa.struct([("name", pa.string()), ("id", pa.int64())]))),
    ]
)
CELLS = st.fixed_dictionaries(
    {
        "text": st.sampled_from([None, "", "a", "b"]),
        "deleted": st.sampled_from([None, True, False]),
        "score": st.sampled_from([None, 0.0, 1.5]),
        "keywords": st.sampled_from([None, [], [{"name": "k", "id": 1}], [{"name": "k", "id": 2}]]),
    }
)
VERSIONS = st.dictionaries(st.integers(0, 40), CELLS, max_size=30)


@dataclass
class Stored:
    """A stored version whose reading is counted."""

    rows: pa.Table
    version: str
    readings: int = 0

    @property
    def schema(self) -> pa.Schema:
        return self.rows.schema

    def batches(self) -> Any:
        self.readings += 1
        return iter(self.rows.to_batches())


def table(rows: dict[int, dict[str, Any]], schema: pa.Schema = SCHEMA) -> pa.Table:
    listed = [{"record_id": key, **cells} for key, cells in sorted(rows.items())]
    return pa.Table.from_pylist(listed, schema)


def stream(rows: pa.Table, size: int) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(rows.schema, rows.to_batches(max_chunksize=size))


def found(before: pa.RecordBatchReader, after: pa.RecordBatchReader) -> dict[str, list[Any]]:
    """Return all differences, each kind in the order in which it was found."""
    lists: dict[str, list[Any]] = {"added": [], "removed": [], "before": [], "after": []}
    for differences in row_differences(before, after, "record_id"):
        for kind in lists:
            lists[kind] += getattr(differences, kind).to_pylist()
    return lists


@given(VERSIONS, VERSIONS, st.integers(1, 9), st.integers(1, 9))
def test_every_difference_is_found_however_the_versions_are_cut(one, other, cut, other_cut):
    lists = found(stream(table(one), cut), stream(table(other), other_cut))
    changed = {key for key in one.keys() & other.keys() if one[key] != other[key]}
    assert lists == {
        "added": table({k: v for k, v in other.items() if k not in one}).to_pylist(),
        "removed": table({k: v for k, v in one.items() if k not in other}).to_pylist(),
        "before": table({k: one[k] for k in changed}).to_pylist(),
        "after": table({k: other[k] for k in changed}).to_pylist(),
    }


@given(VERSIONS, st.integers(1, 9), st.integers(1, 9))
def test_nothing_is_yielded_for_equal_rows(rows, cut, other_cut):
    before, after = stream(table(rows), cut), stream(table(rows), other_cut)
    assert not [*row_differences(before, after, "record_id")]


def test_two_versions_of_the_same_hash_are_not_read():
    one, other = Stored(table({}), "a"), Stored(table({}), "a")
    assert not [*row_differences(one, other, "record_id")]
    assert (one.readings, other.readings) == (0, 0)


def test_not_a_number_equals_itself():
    rows = table({1: {"score": float("nan"), "text": "a"}, 2: {"score": 1.0, "text": "b"}})
    other = table(
        {1: {"score": float("nan"), "text": "a"}, 2: {"score": float("nan"), "text": "b"}}
    )
    assert [row["record_id"] for row in found(stream(rows, 5), stream(other, 5))["after"]] == [2]


def test_a_column_that_one_version_lacks_is_not_compared():
    fewer = pa.schema([SCHEMA.field("record_id"), SCHEMA.field("text")])
    full = {1: {"text": "a", "score": 1.0}, 2: {"text": "b", "score": 2.0}}
    lists = found(
        stream(table({1: {"text": "a"}, 2: {"text": "x"}}, fewer), 5), stream(table(full), 5)
    )
    assert lists["before"] == [{"record_id": 2, "text": "x"}]
    assert [row["record_id"] for row in lists["after"]] == [2]


def test_a_column_of_another_type_differs_in_every_row():
    numbers = pa.schema([("record_id", pa.int64()), ("text", pa.int64())])
    before = pa.Table.from_pylist([{"record_id": 1, "text": 1}], numbers)
    lists = found(stream(before, 5), stream(table({1: {"text": "1"}}), 5))
    assert [row["text"] for row in lists["after"]] == ["1"]


@pytest.mark.parametrize("ids", [[2, 1], [1, 1], [1, None]])
@pytest.mark.parametrize("size", [1, 5])
def test_rows_that_are_not_sorted_by_id_are_an_error_that_shows_no_value(ids, size):
    rows = pa.Table.from_pylist([{"record_id": each, "text": "planted"} for each in ids], SCHEMA)
    with pytest.raises(ImednetError, match="not sorted by record_id") as caught:
        found(stream(table({}), size), stream(rows, size))
    assert "planted" not in str(caught.value)
