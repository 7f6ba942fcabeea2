"""The digest of rows: what it depends on, and what it doesn't."""

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets.imednet import Query, arrow_schema
from orch_assets.imednet.refresh.row_digest import digest_of

ELEMENT = pa.struct([("name", pa.string()), ("number", pa.int64())])
SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("number", pa.int64()),
        ("flag", pa.bool_()),
        ("moment", pa.timestamp("us", "UTC")),
        ("day", pa.date32()),
        ("elements", pa.list_(ELEMENT)),
    ]
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
elements = st.none() | st.fixed_dictionaries(
    {"name": st.none() | texts, "number": st.none() | st.integers(0, 2)}
)
rows = st.fixed_dictionaries(
    {
        "text": st.none() | texts,
        "number": st.none() | st.integers(-1, 1),
        "flag": st.none() | st.booleans(),
        "moment": st.none() | st.datetimes(dt.datetime(1969, 1, 1), timezones=st.just(dt.UTC)),  # noqa: DTZ001
        "day": st.none() | st.dates(dt.date(1969, 12, 31), dt.date(1970, 1, 2)),
        "elements": st.none() | st.lists(elements, max_size=2),
    }
)
tables = st.lists(rows, max_size=6)


def digest(table: pa.Table) -> str:
    return digest_of(table.columns)


def held_otherwise(table: pa.Table, cut: int) -> pa.Table:
    """The same rows in two batches with offsets, and with bits of other rows around them."""
    around = pa.table({name: pa.nulls(3, SCHEMA.field(name).type) for name in SCHEMA.names})
    joined = pa.concat_tables([around, table, around]).combine_chunks()
    first = joined.slice(3, cut)
    return pa.concat_tables([first, joined.slice(3 + first.num_rows, table.num_rows - cut)])


@given(tables, st.integers(0, 6))
def test_the_same_rows_have_the_same_digest_however_they_are_held(
    found: list[dict[str, Any]], cut: int
) -> None:
    table = pa.Table.from_pylist(found, SCHEMA)
    other = held_otherwise(table, min(cut, table.num_rows))
    assert other.to_pylist() == table.to_pylist()
    assert digest(other) == digest(table)


@given(tables, tables)
def test_different_rows_have_different_digests(
    one: list[dict[str, Any]], other: list[dict[str, Any]]
) -> None:
    tables = [pa.Table.from_pylist(each, SCHEMA) for each in (one, other)]
    assert (digest(tables[0]) == digest(tables[1])) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array(["ab", "c"]), pa.array(["a", "bc"])),
        (pa.array([""]), pa.array([None], pa.string())),
        (pa.array([0]), pa.array([None], pa.int64())),
        (pa.array([0]), pa.array([False])),
        (pa.array([0], pa.int32()), pa.array([0], pa.int64())),
        (pa.array([0], pa.timestamp("us")), pa.array([0], pa.timestamp("us", "UTC"))),
        (pa.array([[]], pa.list_(ELEMENT)), pa.array([None], pa.list_(ELEMENT))),
        (pa.array([[None]], pa.list_(ELEMENT)), pa.array([[{}]], pa.list_(ELEMENT))),
        (pa.array([[{}], []], pa.list_(ELEMENT)), pa.array([[], [{}]], pa.list_(ELEMENT))),
    ],
)
def test_neighbours_nulls_and_types_are_told_apart(one: pa.Array, other: pa.Array) -> None:
    assert digest_of([one]) != digest_of([other])


def test_what_lies_under_a_null_list_does_not_matter() -> None:
    inside = pa.array([{"name": "x", "number": 1}], ELEMENT)
    hiding = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), inside, mask=pa.array([True]))
    assert digest_of([hiding]) == digest_of([pa.array([None], hiding.type)])


def test_every_type_of_the_api_has_a_digest() -> None:
    assert digest(arrow_schema(Query).empty_table())


def test_other_types_are_refused_instead_of_overlooked() -> None:
    with pytest.raises(TypeError, match="Rows with double have no digest"):
        digest_of([pa.array([0.5])])
