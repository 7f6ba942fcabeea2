"""Tables of many studies as one: no value changes, in pandas, Arrow and Polars alike."""

# ruff: noqa: DTZ001  moments without a zone are among what must stay

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from orch_assets.errors import StoreError
from orch_assets.stores.joining import join_frames, join_tables
from orch_assets_tests.stores.test_fidelity import QUICK, frames

BIG = 2**60 + 1


def both(first: Any, second: Any) -> dict[str, Any]:
    return {"subjects/A": first, "subjects/B": second}


def values_of(table: Any) -> list[Any]:
    return [None if each is None or each is pd.NA or each is pd.NaT else each for each in table]


INT, UINT, FLOAT = pa.int64(), pa.uint64(), pa.float64()
NONE, NS, UTC = pa.list_(pa.null()), pa.timestamp("ns"), pa.timestamp("us", "UTC")
FITTING = [
    (pa.array([BIG]), None, INT),
    (pa.array([True]), None, pa.bool_()),
    (pa.array([2**63], UINT), None, UINT),
    (pa.array([-5], pa.int8()), pa.array([BIG]), INT),
    (pa.array([200], pa.uint8()), pa.array([-1], pa.int8()), pa.int16()),
    (pa.array([BIG], UINT), pa.array([-1]), INT),
    (pa.array([2**53]), pa.array([0.5]), FLOAT),
    (pa.array([0.5], pa.float32()), pa.array([0.1]), FLOAT),
    (pa.array([BIG]), pa.array([None], pa.string()), INT),
    (pa.array([BIG]), pa.array([], pa.string()), INT),
    (pa.array([None]), pa.array(["x"]), pa.string()),
    (pa.array([1], pa.timestamp("s")), pa.array([1], NS), NS),
    (pa.array([1], UTC), pa.array([1], pa.timestamp("ns", "UTC")), pa.timestamp("ns", "UTC")),
    (pa.array([1], pa.duration("s")), pa.array([1], pa.duration("us")), pa.duration("us")),
    (pa.array([Decimal("0.10")]), pa.array([Decimal(12345)]), pa.decimal128(7, 2)),
    (pa.array([dt.date(2024, 1, 1)]), None, pa.date32()),
    (pa.array(["a"]), pa.array(["b"], pa.large_string()), pa.large_string()),
    (pa.array(["a"]).dictionary_encode(), pa.array(["b"]), pa.string()),
    (pa.array([[1]], pa.list_(pa.int8())), pa.array([[BIG, None], None]), pa.list_(INT)),
    (pa.array([[]], pa.list_(pa.null())), pa.array([["x"]]), pa.list_(pa.string())),
    (
        pa.array([[[None], [None, None]], [[None]]], pa.list_(NONE)),
        pa.array([[[None] * 3] * 2], pa.large_list(NONE)),
        pa.large_list(NONE),
    ),
    (
        pa.array([{"a": 1}]),
        pa.array([{"b": "x"}]),
        pa.struct([("a", INT), ("b", pa.string())]),
    ),
]


@pytest.mark.parametrize(("first", "second", "type_"), FITTING)
def test_arrow_and_polars_columns_that_fit_keep_every_value(
    first: pa.Array, second: "pa.Array | None", type_: pa.DataType
) -> None:
    other = {"k": [0, 0][: len(second)], "c": second} if second is not None else {"k": [0]}
    joined = join_tables(both(pa.table({"c": first}), pa.table(other)))
    rows = len(first) + len(other["k"])
    assert joined["c"].type == type_
    wanted = [*first.to_pylist(), *(second.to_pylist() if second is not None else [None])]
    found = joined["c"].to_pylist()
    if pa.types.is_struct(type_):
        wanted = [{"a": None, "b": None, **each} for each in wanted]
    assert (len(found), found) == (rows, wanted)
    if not pa.types.is_decimal(type_):
        polars: Any = pl.from_arrow(joined)
        assert polars.to_arrow()["c"].cast(type_).to_pylist() == found


@pytest.mark.parametrize(
    ("first", "second", "type_"), [each for each in FITTING if each[1] is not None]
)
def test_frames_of_arrow_types_are_joined_as_arrow_tables_are(
    first: pa.Array, second: pa.Array, type_: pa.DataType
) -> None:
    """A cast by pandas would shorten nested lists of nulls."""
    frames_ = [
        pd.DataFrame({"c": pd.arrays.ArrowExtensionArray(pa.chunked_array([each]))})
        for each in (first, second)
    ]
    found = pa.table(join_frames(both(*frames_)))["c"]
    found.validate(full=True)
    joined = join_tables(both(pa.table({"c": first}), pa.table({"c": second})))["c"]
    assert found.to_pylist() == joined.to_pylist()


FITTING_FRAMES = [
    ([BIG], "int64", None, None, "Int64"),
    ([True], "bool", None, None, "boolean"),
    ([2**64 - 1], "uint64", None, None, "UInt64"),
    ([BIG], "int64", [None], object, "Int64"),
    ([BIG], "int64", [None], "Int64", "Int64"),
    ([-5], "int8", [BIG], "int64", "int64"),
    ([BIG], "uint64", [-1], "int64", "int64"),
    ([2**53], "int64", [0.5], "float64", "float64"),
    ([BIG, None], "Int64", [True], object, None),
    ([0.5], "float64", None, None, "float64"),
    (["x"], object, None, None, "object"),
    (["x"], "category", ["y"], "category", "object"),
    ([BIG], "category", [7], "category", "Int64"),
    (["x"], "category", ["x"], "category", "category"),
    ([dt.datetime(2024, 1, 1)], "datetime64[s]", None, None, "datetime64[s]"),
    ([1], "datetime64[s]", [5], "datetime64[ns]", "datetime64[ns]"),
    ([1], "timedelta64[s]", [5], "timedelta64[us]", "timedelta64[us]"),
    ([Decimal("0.10")], object, [Decimal(5)], object, "object"),
    ([1], pd.ArrowDtype(pa.int8()), [BIG], pd.ArrowDtype(INT), pd.ArrowDtype(INT)),
    ([[1, 2]], object, None, None, "object"),
]


@pytest.mark.parametrize(("first", "dtype", "second", "other", "wanted"), FITTING_FRAMES)
def test_columns_of_frames_that_fit_keep_every_value(
    first: list[Any], dtype: Any, second: "list[Any] | None", other: Any, wanted: Any
) -> None:
    one = pd.DataFrame({"c": pd.Series(first, dtype=dtype)})
    two = pd.DataFrame({"k": [0]} if second is None else {"c": pd.Series(second, dtype=other)})
    if wanted is None:
        with pytest.raises(StoreError, match="'c'"):
            join_frames(both(one, two))
        return
    found = join_frames(both(one, two))["c"]
    assert found.dtype == wanted
    expected = [*one["c"], *(two["c"] if second is not None else [None])]
    assert [*map(repr, values_of(found.astype(object)))][: len(first)] == [
        *map(repr, values_of(one["c"].astype(object)))
    ] or list(found.dropna()) == list(pd.Series(expected, dtype=object).dropna())
    assert list(found.isna()) == list(pd.isna(pd.Series(expected, dtype=object)))


UNFIT = [
    (pa.array([BIG]), pa.array([0.5])),
    (pa.array([2**63], UINT), pa.array([-1])),
    (pa.array([1]), pa.array(["1"])),
    (pa.array([True]), pa.array([1])),
    (pa.array([dt.date(2024, 1, 1)]), pa.array([1], NS)),
    (pa.array([1], UTC), pa.array([1], pa.timestamp("us", "Europe/Berlin"))),
    (pa.array([1], UTC), pa.array([1], pa.timestamp("us"))),
    (pa.array([2**62], pa.timestamp("s")), pa.array([1], NS)),
]


@pytest.mark.parametrize(("first", "second"), UNFIT)
def test_columns_that_do_not_fit_are_refused_and_not_changed(
    first: pa.Array, second: pa.Array
) -> None:
    tables = both(pa.table({"c": first}), pa.table({"c": second}))
    with pytest.raises(StoreError, match="'c'"):
        join_tables(tables)
    if first.type != pa.timestamp("s"):
        with pytest.raises(StoreError, match="'c'"):
            join_frames({name: table.to_pandas() for name, table in tables.items()})


@pytest.mark.parametrize("odd", [0, 57, 99])
@pytest.mark.parametrize("join", [join_tables, join_frames])
def test_of_100_tables_the_one_that_does_not_fit_is_named(join: Any, odd: int) -> None:
    """The study, the column and both types."""
    make: Any = pa.table if join is join_tables else pd.DataFrame
    tables = {f"subjects/S{n}": make({"n": [n], "age": [n]}) for n in range(100)}
    tables[f"subjects/S{odd}"] = make({"n": [1], "age": ["forty"]})
    says = rf"subjects/S{odd} doesn't .* subjects/S\d+: its column 'age' is string here and int64"
    with pytest.raises(StoreError, match=says) as caught:
        join(tables)
    assert caught.value.artifact == f"subjects/S{odd}"
    assert "forty" not in str(caught.value)


def test_an_index_keeps_every_value() -> None:
    one = pd.DataFrame({"a": [1]}, index=pd.Index([BIG], name="id"))
    two = pd.DataFrame({"a": [2]}, index=pd.Index([7], dtype="int8", name="id"))
    found = join_frames(both(one, two))
    assert found.index.tolist() == [BIG, 7]
    assert found.index.name == "id"
    pairs = pd.MultiIndex(levels=[["x"], [BIG]], codes=[[0, 0], [0, -1]], names=["site", "id"])
    three = pd.DataFrame({"a": [1, 2]}, index=pairs)
    ids = join_frames(both(three, three)).index.get_level_values("id")
    assert list(ids[::2]) == [BIG, BIG]
    assert list(ids.isna()) == [False, True] * 2
    with pytest.raises(StoreError, match="2 levels here and 1 there"):
        join_frames(both(one, three))
    floats = pd.DataFrame({"a": [1]}, index=pd.Index([0.5], name="id"))
    with pytest.raises(StoreError, match="index level 0"):
        join_frames(both(one, floats))


@QUICK
@given(frame=frames(), data=st.data())
def test_pieces_of_a_frame_are_the_frame(frame: pd.DataFrame, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(frame)))
    joined = join_frames(both(frame.iloc[:cut], frame.iloc[cut:]))
    for place in range(len(frame.columns)):
        found, wanted = joined.iloc[:, place], frame.iloc[:, place]
        assert found.dtype == wanted.dtype
        assert present(found) == present(wanted)
        assert [*found.isna()] == [*wanted.isna()]
    if not isinstance(frame.index, (pd.MultiIndex, pd.RangeIndex)):
        assert present(joined.index) == present(frame.index)


def present(values: "pd.Series[Any] | pd.Index[Any]") -> list[str]:
    """Return what isn't missing; ``dropna`` compares labels, which fails for decimals' NaN."""
    return [repr(each) for each, na in zip(values.array, values.isna(), strict=True) if not na]


def test_a_table_without_rows_adds_its_columns_and_changes_no_type() -> None:
    one = pd.DataFrame({"a": [BIG]})
    two = pd.DataFrame({"a": pd.Series([], dtype=object), "b": np.array([], dtype="int8")})
    wanted = pd.DataFrame({"a": [BIG], "b": pd.array([None], dtype="Int8")})
    assert_frame_equal(join_frames(both(one, two)), wanted)
