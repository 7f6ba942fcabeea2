"""Lists, dicts, tuples and arrays in columns come back as they were, whatever is in them."""

# ruff: noqa: DTZ001  moments without a zone are among what must come back

import datetime as dt
import zoneinfo
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from orch_assets.defs.io.table_types import as_handed, handed_on
from orch_assets.orchestration.defining.received_types import ARROW, PANDAS
from orch_assets.stores import LocalPipelineStore
from orch_assets.stores.artifacts import StorageFormat
from orch_assets.stores.formats.frames import arrow_to_frame
from orch_assets.stores.joining import join_frames
from orch_assets.stores.tables import without_notes
from orch_assets_tests.stores.test_fidelity import EACH_FORMAT, MISSING, QUICK, TEXT, stored

BIG = 2**53 + 1
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
# Years whose moments every unit holds, and that have a clock for each moment.
SINCE, UNTIL = dt.datetime(1990, 1, 1), dt.datetime(2200, 1, 1)
MOMENTS = st.datetimes(SINCE, UNTIL)

SCALARS: "list[st.SearchStrategy[Any]]" = [
    TEXT,
    st.binary(max_size=3),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(-999, 999, places=2),
    st.dates(),
    st.datetimes().map(lambda moment: moment.replace(fold=0)),
    st.datetimes(SINCE, UNTIL, timezones=st.just(BERLIN), allow_imaginary=False),
    st.datetimes(SINCE, UNTIL, timezones=st.just(dt.UTC)),
    MOMENTS.map(pd.Timestamp),
    MOMENTS.map(lambda moment: pd.Timestamp(moment, tz="UTC").as_unit("ns").tz_convert(BERLIN)),
    MOMENTS.map(lambda moment: pd.Timestamp(moment.replace(microsecond=0)).as_unit("s")),
    st.timedeltas(dt.timedelta(-999), dt.timedelta(999)),
    st.timedeltas(dt.timedelta(-999), dt.timedelta(999)).map(pd.Timedelta),
    st.times().map(lambda time: time.replace(fold=0)),
]
DTYPES = ["bool", "int8", "uint64", "float32", "float64", "datetime64[ns]", "datetime64[s]"]


def as_array(values: "list[Any]", dtype: str = "object") -> "np.ndarray[Any, Any]":
    array = np.empty(len(values), dtype=dtype)
    for place, value in enumerate(values):
        array[place] = value
    return array


def arrays(dtype: str) -> "st.SearchStrategy[Any]":
    numbers = st.lists(st.integers(0, 1), max_size=3)
    return numbers.map(lambda values: np.array(values).astype(dtype))


@st.composite
def shapes(draw: st.DrawFn, depth: int = 3) -> "st.SearchStrategy[Any]":
    """Draw how the values at one place look: a strategy for them."""
    if not depth or draw(st.booleans()):
        return draw(st.sampled_from([*SCALARS, *map(arrays, DTYPES)]))
    kind = draw(st.sampled_from(["list", "pair", "array", "dict"]))
    inner = draw(shapes(depth - 1)) | MISSING
    if kind == "dict":
        names = draw(st.lists(st.text("abÄ.", max_size=3), min_size=1, max_size=3, unique=True))
        return st.fixed_dictionaries(dict.fromkeys(names, inner))
    if kind == "pair":
        return st.tuples(inner, st.booleans())
    made = list if kind == "list" else as_array
    return st.lists(inner, max_size=3).map(made)


@st.composite
def nested(draw: st.DrawFn) -> "list[Any]":
    return draw(st.lists(draw(shapes()) | MISSING, max_size=6))


def frame_of(values: "list[Any]") -> pd.DataFrame:
    return pd.DataFrame({"c": pd.Series(as_array(values), dtype=object)})


def told(value: Any) -> Any:
    """Return a value with the types of all that is in it."""
    if isinstance(value, np.ndarray):
        return ("array", value.dtype, list(map(told, value)))
    if isinstance(value, (list, tuple)):
        return (type(value), list(map(told, value)))
    if isinstance(value, dict):
        return (dict, {name: told(each) for name, each in value.items()})
    if isinstance(value, (pd.Timestamp, pd.Timedelta)):
        return (type(value), value.unit, repr(value))
    if isinstance(value, dt.datetime) and value is not pd.NaT:
        # A fold says nothing but where the clock was set back.
        return (dt.datetime, repr(value.replace(fold=0)), value.utcoffset())
    return (type(value), repr(value))


@EACH_FORMAT
@QUICK
@given(values=nested())
def test_a_column_of_containers_comes_back_with_all_types(
    format_: StorageFormat, values: "list[Any]"
) -> None:
    """Of any depth, with what stands for a missing value at each; handed on as stored."""
    frame = frame_of(values)
    table, _ = stored(frame, format_)
    assert list(map(told, arrow_to_frame(table)["c"])) == list(map(told, values))
    assert handed_on(frame)
    assert list(map(told, as_handed(frame, PANDAS)["c"])) == list(map(told, values))
    assert as_handed(frame, ARROW).equals(without_notes(table), check_metadata=True)


@EACH_FORMAT
def test_lists_of_nothing_come_back_beside_what_is_cast(format_: StorageFormat) -> None:
    """Arrow's cast breaks them, and Parquet has no seconds."""
    values = [{"none": [None, None], "at": pd.Timestamp(0).as_unit("s")}, None]
    found = arrow_to_frame(stored(frame_of(values), format_)[0])["c"]
    assert list(map(told, found)) == list(map(told, values))


AT, NONE = pa.timestamp("s"), pa.null()


@EACH_FORMAT
@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([[{"none": None, "at": 1}] * 3, []], pa.large_list(pa.struct({"none": NONE, "at": AT}))),
        (
            [[("k", {"none": None, "at": 1})] * 3],
            pa.map_(pa.string(), pa.struct({"none": NONE, "at": AT})),
        ),
        (
            [{"m": [("k", None)] * 3, "at": 1}] * 2,
            pa.struct({"m": pa.map_(pa.string(), NONE), "at": AT}),
        ),
        (
            [{"l": [[None], [None] * 2], "at": 1}] * 2,
            pa.struct({"l": pa.list_(pa.list_(NONE)), "at": AT}),
        ),
    ],
    ids=["list", "map", "map of nulls", "lists of nulls"],
)
def test_nulls_at_any_depth_come_back_beside_what_is_cast(
    format_: StorageFormat, values: "list[Any]", type_: pa.DataType
) -> None:
    """Arrow's cast breaks nested nulls, pandas casts each column, and Parquet has no seconds."""
    table = pa.table({"c": pa.array(values, type_)})
    found, _ = stored(table, format_)
    found.validate(full=True)
    frame = arrow_to_frame(found)
    again, _ = stored(frame, format_)
    again.validate(full=True)
    expected = table["c"].to_pylist()
    assert found["c"].to_pylist() == again["c"].to_pylist() == expected
    assert frame["c"].tolist() == arrow_to_frame(again)["c"].tolist() == expected


@EACH_FORMAT
@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([[], None], pa.list_(pa.null())),
        ([{"a": None}, None], pa.struct([("a", pa.null())])),
        ([[1], []], pa.list_(pa.int64())),
        ([[("k", 1)]], pa.list_(pa.struct([("0", pa.string()), ("1", pa.int64())]))),
        ([np.array([1, 2], dtype="int16")], pa.list_(pa.int16())),
        ([[pd.Timestamp(0, tz=BERLIN)]], pa.list_(pa.timestamp("ns", "Europe/Berlin"))),
        ([np.array([], dtype="float32")], pa.list_(pa.float32())),
    ],
)
def test_other_tools_see_the_type_of_a_column_of_containers(
    format_: StorageFormat, values: "list[Any]", type_: pa.DataType
) -> None:
    """Of what there is nothing of, they see null: it fits every other study's type."""
    table, _ = stored(frame_of(values), format_)
    assert table.schema.field("c").type.equals(type_)
    assert list(map(told, arrow_to_frame(table)["c"])) == list(map(told, values))


def test_polars_and_pandas_read_columns_of_containers(tmp_path: Path) -> None:
    """In Parquet, nested types of Arrow and lists of nothing included."""
    ints = pd.Series([[BIG, None], None], dtype=pd.ArrowDtype(pa.list_(pa.int64())))
    frame = pd.DataFrame({"ints": ints, "none": [[], None], "dicts": [{"a": [1.5]}, None]})
    LocalPipelineStore(tmp_path).upload(frame, "t")
    seen = pl.read_parquet(tmp_path / "t.parquet")
    assert seen.to_dict(as_series=False) == {
        "ints": [[BIG, None], None],
        "none": [[], None],
        "dicts": [{"a": [1.5]}, None],
    }
    assert list(pd.read_parquet(tmp_path / "t.parquet").columns) == list(frame.columns)


NESTED_TYPES = {
    "list": (pa.list_(pa.int32()), [[BIG % 97, None], [], None]),
    "struct": (pa.struct([("a", pa.int8()), ("b", pa.date32())]), [{"a": 1, "b": None}, None]),
    "map": (pa.map_(pa.string(), pa.int64()), [[("k", BIG), ("l", None)], None]),
    "zoned": (pa.list_(pa.timestamp("us", "Asia/Tokyo")), [[dt.datetime(2024, 1, 1)], None]),
    "text": (pa.large_list(pa.large_string()), [["a", None], None]),
    "deep": (pa.list_(pa.list_(pa.struct([("x", pa.decimal128(5, 2))]))), [[[], None], None]),
}


@EACH_FORMAT
@pytest.mark.parametrize("kind", NESTED_TYPES)
@pytest.mark.parametrize("rows", [slice(None), slice(0), slice(-1, None)], ids=["all", "0", "null"])
def test_nested_types_of_an_arrow_table_survive_pandas(
    format_: StorageFormat, kind: str, rows: slice
) -> None:
    """Whatever rows a filter leaves, none or those that hold nothing; also beside pandas' notes."""
    type_, values = NESTED_TYPES[kind]
    table = pa.table({"k": range(len(values)), "c": pa.array(values, type_)})
    described = pa.Table.from_pandas(table.to_pandas(types_mapper=pd.ArrowDtype))
    for arrow in (table, described):
        frame = arrow_to_frame(without_notes(stored(arrow, format_)[0])).iloc[rows]
        found, _ = stored(frame, format_)
        assert found.schema.field("c").type.equals(type_)
        assert_frame_equal(arrow_to_frame(found), frame)
        assert frame["c"].dtype == pd.ArrowDtype(type_)


def test_whole_numbers_in_lists_are_not_rounded_beside_a_missing_one(tmp_path: Path) -> None:
    """Of a table that never was a frame, whoever wrote it."""
    store = LocalPipelineStore(tmp_path)
    store.upload(pa.table({"n": pa.array([[BIG, None], None, [1]])}), "a")
    frame = pd.DataFrame({"k": [1], "n": [[BIG, None]]}).set_index("k")
    store.upload(pa.Table.from_pandas(frame), "b")
    assert [store.download("a")["n"][0], store.download("a")["n"][2]] == [[BIG, None], [1]]
    assert store.download("b")["n"].tolist() == [[BIG, None]]


def test_studies_with_nothing_in_their_lists_fit_together_with_others() -> None:
    empty = pd.DataFrame({"c": [[], None]})
    full = pd.DataFrame({"c": [[{"a": dt.date(2024, 1, 1)}], None]})
    joined = join_frames({"A": empty, "B": full})
    assert joined["c"].tolist() == [[], None, [{"a": dt.date(2024, 1, 1)}], None]


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(Exception, match="nested too deeply, or holds itself"):
        stored(frame_of([value]), StorageFormat.PARQUET)


def test_a_long_column_of_lists_is_cut_into_blocks_and_row_groups() -> None:
    values = [list(range(row % 5)) if row % 7 else None for row in range(40_000)]
    frame = pd.DataFrame({"n": range(40_000), "c": pd.Series(values, dtype=object)})
    found = arrow_to_frame(stored(frame, StorageFormat.PARQUET)[0])
    assert found["c"].tolist() == values
