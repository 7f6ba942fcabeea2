"""What goes in comes back: Hypothesis looks for the table that doesn't."""

import datetime as dt
import io
import zoneinfo
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from orch_assets.errors import UnstorableTableError
from orch_assets.stores.formats import FORMATS, StorageFormat
from orch_assets.stores.frames import arrow_to_frame
from orch_assets.stores.spooling import HashingFile
from orch_assets.stores.tables import incoming, without_notes

EACH_FORMAT = pytest.mark.parametrize("format_", list(StorageFormat))
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["", "001", "NULL", "NA", "nan", "a,b", 'a"b', "a\r\nb", " a ", "\ufeff", "\x00", "true", "1e5"]
)
NONE = st.none()
MISSING = st.sampled_from([None, float("nan"), pd.NA, pd.NaT])
MOMENTS = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2261, 1, 1))
ZONES = st.sampled_from(
    [
        dt.timezone.utc,
        dt.timezone(dt.timedelta(hours=-3, minutes=-30)),
        zoneinfo.ZoneInfo("Europe/Berlin"),
        zoneinfo.ZoneInfo("UTC"),
        "America/New_York",
        "UTC",
    ]
)
UNITS = st.sampled_from(["s", "ms", "us", "ns"])


def of(elements: "st.SearchStrategy[Any]", dtype: Any) -> "st.SearchStrategy[tuple[Any, Any]]":
    return st.tuples(st.just(elements), st.just(dtype))


def integers(dtype: str) -> "st.SearchStrategy[int]":
    limits = np.iinfo(dtype.lower())
    return st.integers(int(limits.min), int(limits.max))


INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
OBJECTS = [
    TEXT,
    st.binary(max_size=5),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**64 - 1),
    st.floats(allow_nan=False),
    st.decimals(-(10**9), 10**9, places=3),
    st.dates(),
    st.datetimes().map(lambda moment: moment.replace(fold=0)),  # without a zone it says nothing
    st.times().map(lambda time: time.replace(fold=0)),
    st.timedeltas(dt.timedelta(-100_000), dt.timedelta(100_000)),
]
KINDS: "list[st.SearchStrategy[tuple[Any, Any]]]" = [
    *(of(integers(name), name) for name in INTEGERS),
    *(of(integers(name) | NONE, name.replace("i", "I").replace("u", "U")) for name in INTEGERS),
    of(st.floats(width=16), "float16"),
    of(st.floats(width=32), "float32"),
    of(st.floats(), "float64"),
    of(st.floats(width=32, allow_nan=False) | NONE, "Float32"),
    of(st.floats(allow_nan=False) | NONE, "Float64"),
    of(st.booleans(), "bool"),
    of(st.booleans() | NONE, "boolean"),
    *(of(elements | MISSING, object) for elements in OBJECTS),
    *(of(elements, object) for elements in OBJECTS),
    of(TEXT | NONE, "string"),
    of(TEXT | NONE, "string[pyarrow]"),
    of(TEXT | NONE, pd.StringDtype("python", na_value=np.nan)),
    of(TEXT | NONE, pd.ArrowDtype(pa.string())),
    of(TEXT | NONE, pd.ArrowDtype(pa.large_string())),
    of(st.integers(-5, 5) | NONE, pd.ArrowDtype(pa.int16())),
    of(MOMENTS | NONE, pd.ArrowDtype(pa.timestamp("us", "Asia/Tokyo"))),
    of(st.decimals(-999, 999, places=2) | NONE, pd.ArrowDtype(pa.decimal128(6, 2))),
]


@st.composite
def columns(draw: st.DrawFn, rows: int) -> "pd.Series[Any]":
    kind = draw(st.integers(0, len(KINDS) + 4))
    if kind < len(KINDS):
        elements, dtype = draw(KINDS[kind])
        values = draw(st.lists(elements, min_size=rows, max_size=rows))
        if dtype is object:
            array = np.empty(rows, dtype=object)
            array[:] = values
            return pd.Series(array, dtype=object)
        return pd.Series(values, dtype=dtype)
    if kind < len(KINDS) + 2:
        moments = draw(st.lists(MOMENTS | NONE, min_size=rows, max_size=rows))
        series: Any = pd.Series(moments, dtype="datetime64[us]").dt.as_unit(draw(UNITS))
        return series if kind == len(KINDS) else series.dt.tz_localize("UTC").dt.tz_convert(draw(ZONES))
    if kind == len(KINDS) + 2:
        spans = draw(st.lists(OBJECTS[-1] | NONE, min_size=rows, max_size=rows))
        return pd.Series(spans, dtype="timedelta64[us]").dt.as_unit(draw(UNITS))
    elements = draw(st.sampled_from([TEXT, st.integers(-9, 9), st.dates(), st.booleans(), MOMENTS]))
    categories = draw(st.lists(elements, unique=True, min_size=1, max_size=5))
    codes = draw(st.lists(st.integers(-1, len(categories) - 1), min_size=rows, max_size=rows))
    return pd.Series(
        pd.Categorical.from_codes(codes, categories=categories, ordered=draw(st.booleans()))
    )


def as_index(series: "pd.Series[Any]", name: str | None) -> "pd.Index[Any]":
    if series.dtype == "float16":  # pandas has no such index
        series = series.astype("float32")
    return pd.Index(series, dtype=series.dtype, name=name)


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.integers(0, 6))
    names = draw(st.lists(TEXT, unique=True, max_size=4))
    frame = pd.DataFrame({name: draw(columns(rows)) for name in names}, index=range(rows))
    labels = st.none() | st.sampled_from(["visit", "site", "", *names])
    kind = draw(st.sampled_from(["as it is", "range", "one", "several"]))
    if kind == "range":
        frame.index = pd.RangeIndex(3, 3 - 2 * rows, -2, name=draw(labels))
    elif kind == "one":
        frame.index = as_index(draw(columns(rows)), draw(labels))
    elif kind == "several":
        levels = [as_index(draw(columns(rows)), None) for _ in range(draw(st.integers(1, 3)))]
        frame.index = pd.MultiIndex.from_arrays(levels, names=[draw(labels) for _ in levels])
    frame.columns.name = draw(labels)
    return frame


def stored(table: Any, format_: StorageFormat) -> tuple[pa.Table, bytes]:
    """Write a table and read it, as a store does, in memory."""
    codec = FORMATS[format_]
    arriving = incoming(table)
    codec.check(arriving.schema)
    sink = io.BytesIO()
    codec.write(arriving.counted(), arriving.schema, HashingFile(sink, Path("memory")))
    schema = None if codec.holds_schema else arriving.schema
    return codec.read(io.BytesIO(sink.getvalue()), schema), sink.getvalue()


def came_back(frame: pd.DataFrame, format_: StorageFormat) -> pd.DataFrame:
    return arrow_to_frame(stored(frame, format_)[0])


def assert_same(found: pd.DataFrame, frame: pd.DataFrame) -> None:
    """Compare as pandas does, and each object with its type: None is not NaN, nor 1 True."""
    assert_frame_equal(found, frame, check_index_type="exact", check_freq=True)
    assert type(found.index) is type(frame.index)
    assert type(found.columns) is type(frame.columns)
    assert found.index.names == frame.index.names
    for name in frame:
        assert found[name].dtype == frame[name].dtype
        assert list(map(repr, found[name])) == list(map(repr, frame[name]))
    assert list(map(repr, found.index)) == list(map(repr, frame.index))


@EACH_FORMAT
@QUICK
@given(frame=frames())
def test_a_frame_comes_back(format_: StorageFormat, frame: pd.DataFrame) -> None:
    assert_same(came_back(frame, format_), frame)
