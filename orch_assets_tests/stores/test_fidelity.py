"""What goes in comes back: Hypothesis looks for the table that doesn't."""

# ruff: noqa: DTZ001  moments without a zone are among what must come back

import datetime as dt
import io
import time
import zoneinfo
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import pytz
from dateutil import tz
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal, assert_index_equal

from orch_assets.errors import StoreError, UnstorableTableError
from orch_assets.stores import LocalPipelineStore
from orch_assets.stores.artifacts import StorageFormat
from orch_assets.stores.formats.frames import arrow_to_frame
from orch_assets.stores.formats.table_files import table_format
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
        dt.UTC,
        dt.timezone(dt.timedelta(hours=-3, minutes=-30)),
        zoneinfo.ZoneInfo("Europe/Berlin"),
        zoneinfo.ZoneInfo("UTC"),
        "America/New_York",
        "UTC",
        dt.timezone(dt.timedelta(seconds=90)),
        pytz.timezone("Asia/Kolkata"),
        pytz.FixedOffset(90),
        tz.tzutc(),  # boto3's
        tz.gettz("Europe/Berlin"),
        tz.tzoffset("EST", -18_000),
        tz.tzoffset(None, -90),
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
        return (
            series
            if kind == len(KINDS)
            else series.dt.tz_localize("UTC").dt.tz_convert(draw(ZONES))
        )
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


LEVELS = [
    TEXT,
    st.integers(2**60, 2**60 + 9),
    st.dates(),
    MOMENTS,
    st.floats(allow_nan=False),
    st.decimals(-9, 9, places=1),
]
JSON: "st.SearchStrategy[Any]" = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)


@st.composite
def level_and_codes(draw: st.DrawFn, rows: int) -> "tuple[pd.Index[Any], list[int]]":
    """Draw a level as it may be after filters: in any order, with values that no row has."""
    values = draw(st.lists(draw(st.sampled_from(LEVELS)), unique=True, min_size=1, max_size=4))
    codes = draw(st.lists(st.integers(-1, len(values) - 1), min_size=rows, max_size=rows))
    if draw(st.booleans()):
        return pd.Index(values), codes
    ordered = draw(st.booleans())
    return pd.CategoricalIndex(
        values, categories=draw(st.permutations(values)), ordered=ordered
    ), codes


@st.composite
def labels_of(draw: st.DrawFn, names: list[str]) -> "pd.Index[Any]":
    kind = draw(st.sampled_from(["object", "string", "string[pyarrow]", "category", "arrow", None]))
    if kind == "category":
        categories = draw(st.permutations([*names, "no column's"]))
        return pd.CategoricalIndex(names, categories=categories, ordered=draw(st.booleans()))
    return pd.Index(names, dtype=pd.ArrowDtype(pa.string()) if kind == "arrow" else kind)


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.integers(0, 6))
    names = draw(st.lists(TEXT, unique=True, max_size=4))
    frame = pd.DataFrame({name: draw(columns(rows)) for name in names}, index=range(rows))
    if names:
        frame.columns = draw(labels_of(names))
    frame.attrs = draw(st.just({}) | st.dictionaries(TEXT, JSON, max_size=2))
    labels = st.none() | st.sampled_from(["visit", "site", "", *names])
    kind = draw(st.sampled_from(["as it is", "range", "one", "several", "levels"]))
    if kind == "range":
        frame.index = pd.RangeIndex(3, 3 - 2 * rows, -2, name=draw(labels))
    elif kind == "one":
        frame.index = as_index(draw(columns(rows)), draw(labels))
    elif kind == "several":
        levels = [as_index(draw(columns(rows)), None) for _ in range(draw(st.integers(1, 3)))]
        frame.index = pd.MultiIndex.from_arrays(levels, names=[draw(labels) for _ in levels])
    elif kind == "levels":
        pairs = [draw(level_and_codes(rows)) for _ in range(draw(st.integers(1, 3)))]
        held, codes = zip(*pairs, strict=True)
        frame.index = pd.MultiIndex(held, codes, names=[draw(labels) for _ in pairs])
    frame.columns.name = draw(labels)
    return frame


def stored(table: Any, format_: StorageFormat) -> tuple[pa.Table, bytes]:
    """Write a table and read it, as a store does, in memory."""
    codec = table_format(format_)
    arriving = incoming(table)
    codec.check(arriving.schema)
    sink = io.BytesIO()
    codec.write(arriving.counted(), arriving.schema, HashingFile(sink, Path("memory")))
    beside = codec.schema_beside(arriving.schema)
    return codec.read(io.BytesIO(sink.getvalue()), beside), sink.getvalue()


def came_back(frame: pd.DataFrame, format_: StorageFormat) -> pd.DataFrame:
    return arrow_to_frame(stored(frame, format_)[0])


def assert_same_labels(found: Any, wanted: Any) -> None:
    assert_index_equal(found, wanted, exact="equiv")
    assert found.dtype == wanted.dtype
    assert list(map(repr, found)) == list(map(repr, wanted))
    assert getattr(found, "freq", None) == getattr(wanted, "freq", None)
    if isinstance(wanted, pd.CategoricalIndex):
        assert found.ordered == wanted.ordered
        assert list(found.categories) == list(wanted.categories)


def assert_same(found: pd.DataFrame, frame: pd.DataFrame) -> None:
    """Compare as pandas does, and each object with its type: None is not NaN, nor 1 True."""
    assert_frame_equal(found, frame, check_index_type="exact", check_freq=True)
    assert type(found.index) is type(frame.index)
    assert type(found.columns) is type(frame.columns)
    assert found.index.names == frame.index.names
    assert_same_labels(found.columns, frame.columns)
    assert found.attrs == frame.attrs
    assert found.flags == frame.flags
    for position in range(len(frame.columns)):
        column, wanted = found.iloc[:, position], frame.iloc[:, position]
        assert column.dtype == wanted.dtype
        assert type(column.array) is type(wanted.array)
        assert getattr(column.dtype, "tz", None) == getattr(wanted.dtype, "tz", None)
        assert list(map(repr, column)) == list(map(repr, wanted))
    assert list(map(repr, found.index)) == list(map(repr, frame.index))
    if isinstance(frame.index, pd.MultiIndex):
        for level, wanted in zip(found.index.levels, frame.index.levels, strict=True):
            assert_same_labels(level, wanted)
        assert [list(each) for each in found.index.codes] == [
            list(each) for each in frame.index.codes
        ]


@EACH_FORMAT
def test_text_of_numpy_equals_what_it_was(format_: StorageFormat) -> None:
    """``DataFrame.equals`` looks at the class that holds the column, too."""
    text = pd.StringDtype("python", na_value=np.nan)
    frame = pd.DataFrame({"arm": pd.Series(["A", None], dtype=text)})
    frame.index = pd.MultiIndex.from_arrays([pd.Index(["S1", "S2"], dtype=text)], names=["site"])
    found = came_back(frame, format_)
    assert found.equals(frame)
    assert type(found["arm"].array) is type(frame["arm"].array)


@EACH_FORMAT
@QUICK
@given(frame=frames())
def test_a_frame_comes_back(format_: StorageFormat, frame: pd.DataFrame) -> None:
    assert_same(came_back(frame, format_), frame)


# What the strategies above leave out


# Labels that pandas can't compare with a text: repeated decimals, one of them missing.
INCOMPARABLE = pd.Index([Decimal("0.000"), Decimal("0.000"), np.nan], dtype=object)


def partly_missing(values: Any) -> pd.MultiIndex:
    """Return an index of three rows with a level of these values, one of them missing."""
    return pd.MultiIndex(levels=[["x"], pd.Index(values)], codes=[[0] * 3, [0, -1, 1]])


MONTHLY = pd.DateOffset(months=1)
EDGES: "list[pd.DataFrame]" = [
    pd.DataFrame(),
    pd.DataFrame(index=["a", "b"]),
    pd.DataFrame(index=range(5)),
    pd.DataFrame({"a": []}),
    pd.DataFrame({"a": pd.Series([], dtype="datetime64[ns, UTC]")}),
    pd.DataFrame({"a": [None, None]}),
    pd.DataFrame({"a": pd.Categorical([None], categories=["z", "a"], ordered=True)}),
    pd.DataFrame({"a": pd.Categorical(["b", "a", "b"], categories=["a", "b"])}),
    pd.DataFrame({"a": range(3)}, index=partly_missing([2**60 + 1, 3, 5])),
    pd.DataFrame({"a": range(3)}, index=partly_missing(np.array([1, 2, 3], dtype="uint8"))),
    pd.DataFrame({"a": range(3)}, index=partly_missing([True, False])),
    pd.DataFrame({"a": [1]}, index=pd.date_range("2024-01-01", periods=1, freq="D")),
    pd.DataFrame({"a": range(3)}, index=pd.date_range("2024", periods=3, freq="MS", tz="UTC")),
    pd.DataFrame({"a": range(2)}, index=pd.timedelta_range("1h", periods=2, freq="h")),
    pd.DataFrame({"a": range(2)}, index=pd.date_range("2024", periods=2, freq=MONTHLY)),
    pd.DataFrame(
        {"a": range(4)},
        index=pd.MultiIndex.from_product([pd.date_range("2024", periods=2), ["b", "a"]]),
    ),
    pd.DataFrame({"a": range(3)}, index=pd.CategoricalIndex(list("bab"), ["b", "c", "a"], True)),
    pd.DataFrame([[1, 2]], columns=pd.CategoricalIndex(["b", "a"], list("abc"), ordered=True)),
    pd.DataFrame({"a": pd.Categorical([2**60 + 1, None], categories=[2**60 + 1, 2**60])}),
    pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False),
    pd.DataFrame({"__index_level_0__": [1]}),
    pd.DataFrame({"a": pd.array([0, None, 1], dtype="Int16")}, index=INCOMPARABLE),
    pd.DataFrame({"a": pd.date_range("2024", periods=3, tz="UTC")}, index=INCOMPARABLE),
    pd.DataFrame({"a": [True, pd.NaT, None, pd.NA, float("nan")]}, dtype=object),
    pd.DataFrame({"a": [dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)]}, dtype=object),
    pd.DataFrame({"a": [2**63, 2**64 - 1, None]}, dtype=object),
    pd.DataFrame({"a": pd.to_datetime(["0001-01-01"] * 2, format="%Y-%m-%d", errors="ignore")})
    if pd.__version__ < "2"
    else pd.DataFrame({"a": np.array(["0001-01-01", "NaT"], dtype="datetime64[s]")}),
]


@EACH_FORMAT
@pytest.mark.parametrize("frame", EDGES)
def test_a_frame_at_the_edge_comes_back(format_: StorageFormat, frame: pd.DataFrame) -> None:
    assert_same(came_back(frame, format_), frame)


@pytest.mark.parametrize(
    ("format_", "column"),
    [
        (StorageFormat.PARQUET, pa.array([Decimal(100)], pa.decimal128(5, -2))),
        (StorageFormat.PARQUET, pa.DictionaryArray.from_arrays([1, 0], ["S3CRET", None])),
        (StorageFormat.CSV, pa.DictionaryArray.from_arrays([1, 0], ["lo", "hi"], ordered=True)),
        (StorageFormat.CSV, pa.array([[(1, 2, 3)]], pa.list_(pa.month_day_nano_interval()))),
    ],
)
def test_an_arrow_column_that_would_not_come_back_is_named(
    format_: StorageFormat, column: pa.Array
) -> None:
    with pytest.raises(UnstorableTableError, match="Column 'bad'") as caught:
        stored(pa.table({"good": range(len(column)), "bad": column}), format_)
    assert "S3CRET" not in str(caught.value)


def test_what_pandas_can_not_hold_is_said_without_its_value(tmp_path: Path) -> None:
    store = LocalPipelineStore(tmp_path)
    table = pa.table({"n": pa.array([1234567890123], pa.time64("ns"))})
    store.upload(table, "x")
    with pytest.raises(StoreError, match=r"'x' .*download_table") as caught:
        store.download("x")
    assert "1234567890123" not in str(caught.value)
    assert store.download_table("x").equals(table)


@EACH_FORMAT
@pytest.mark.parametrize("dtype", ["int64", "float64", "bool", "datetime64[ns]", "timedelta64[s]"])
def test_a_column_of_numpy_that_comes_back_can_be_changed_in_place(
    format_: StorageFormat, dtype: str
) -> None:
    frame = pd.DataFrame({"a": np.array([1, 0, 1]).astype(dtype)})
    found = came_back(frame, format_)
    values = found["a"].array
    values[0] = values[1]
    assert_frame_equal(found, frame.iloc[[1, 1, 2]].reset_index(drop=True))


@EACH_FORMAT
def test_decimals_come_back_by_value(format_: StorageFormat) -> None:
    frame = pd.DataFrame({"dose": [Decimal("0.10"), None, Decimal("12345678901234567890.5")]})
    assert list(came_back(frame, format_)["dose"]) == list(frame["dose"])


@EACH_FORMAT
@pytest.mark.parametrize(
    "values",
    [
        [True, np.bool_(False), None],
        [np.int64(2**62), 5, np.uint8(7)],
        [2**63, np.uint64(2**64 - 1)],
        [np.float32(0.5), 1.5, np.float64("nan"), None],
        [np.str_("a"), "b"],
    ],
)
def test_scalars_of_numpy_among_python_values_are_of_one_type(
    format_: StorageFormat, values: "list[Any]"
) -> None:
    """They come back as Python's own."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    found = list(came_back(pd.DataFrame({"a": pd.Series(array, dtype=object)}), format_)["a"])
    plain = [each.item() if isinstance(each, np.generic) else each for each in values]
    assert list(map(repr, found)) == list(map(repr, plain))


@EACH_FORMAT
def test_attributes_that_json_does_not_hold_exactly_are_dropped(format_: StorageFormat) -> None:
    """Nothing of them gets into the bytes: a run's object mustn't make another version."""
    frame = pd.DataFrame({"a": [1]})
    frame.attrs = {"source": {"lab": ["A", 1.5, None]}}
    kept, plain = dict(frame.attrs), stored(frame, format_)[1]
    frame.attrs |= {"run": object(), "pair": (1, 2), "nan": float("nan"), 5: "x", "deep": [{1: 2}]}
    assert stored(frame, format_)[1] == plain
    assert came_back(frame, format_).attrs == kept


def test_pandas_own_reader_sees_the_attributes(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs = {"unit": "kg"}
    LocalPipelineStore(tmp_path).upload(frame, "t")
    assert pd.read_parquet(tmp_path / "t.parquet").attrs == {"unit": "kg"}


@pytest.fixture
def local_zone(monkeypatch: pytest.MonkeyPatch) -> "Iterator[Callable[[str], None]]":
    """Give the computer another zone."""

    def change(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield change
    monkeypatch.undo()
    time.tzset()


@EACH_FORMAT
def test_the_zone_of_the_computer_comes_back_where_others_can_be_told_what_it_is(
    format_: StorageFormat, local_zone: "Callable[[str], None]"
) -> None:
    """boto3 gives times in it. With daylight saving, another computer would show other times."""
    local_zone("Asia/Kolkata")
    moment = pd.Timestamp("2024-07-01", tz="UTC")
    frame = pd.DataFrame({"at": [moment]}).assign(at=lambda f: f["at"].dt.tz_convert(tz.tzlocal()))
    table = stored(frame, format_)[0]
    assert_same(arrow_to_frame(table), frame)
    local_zone("UTC")
    assert arrow_to_frame(table)["at"].dt.tz == tz.tzoffset("IST", 19_800)
    assert arrow_to_frame(table)["at"][0] == moment
    local_zone("Europe/Berlin")
    berlin = frame.assign(at=frame["at"].dt.tz_convert(tz.tzlocal()))
    with pytest.raises(UnstorableTableError, match=r"'at' has times in the zone of this computer"):
        stored(berlin, format_)


@EACH_FORMAT
def test_a_zone_that_has_no_name_is_refused_as_such(format_: StorageFormat) -> None:
    frame = pd.DataFrame({"at": pd.to_datetime(["2024-01-01"])})
    frame["at"] = frame["at"].dt.tz_localize(tz.tzrange("EST"))
    with pytest.raises(UnstorableTableError, match="a zone of the type tzrange"):
        stored(frame, format_)


SECRET = "S3CRET"
MOMENT = dt.datetime(2025, 6, 5, 21, 12, 8, tzinfo=dt.UTC)
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
HOLIDAYS = pd.offsets.CustomBusinessDay(holidays=["2024-12-25"])


@EACH_FORMAT
@pytest.mark.parametrize(
    ("column", "says"),
    [
        ([SECRET, 1], "int, str"),
        ([True, 1], "bool, int"),
        ([1.5, 1], "float, int"),
        ([np.timedelta64(5, "s"), 5], "timedelta64"),
        ([np.datetime64("NaT"), None], "missing"),
        ([[SECRET], ["x", 1]], r"int, str\); the one at position 1"),
        ([[None], None, [[{SECRET}]]], "type set"),
        ([{SECRET: 1}, {SECRET: 1, "b": 2}], "dicts of different keys; the one at position 1"),
        ([{SECRET: 1}, {SECRET: 1.5}], r"float, int\); the one at position 1"),
        ([{1: SECRET}], "one that isn't text"),
        ([{}], "without keys"),
        ([(SECRET,), (SECRET, 1)], "tuples of different lengths; the one at position 1"),
        ([np.array([1]), np.array([1.5])], "different types .* position 1 .*tolist"),
        ([np.array([SECRET])], "arrays of type <U6"),
        ([np.ones((2, 2))], "2 dimensions"),
        ([[SECRET], 1], "int, list"),
        ([[2**64]], "uint64"),
        ([[MOMENT.replace(tzinfo=BERLIN), MOMENT]], "several time zones"),
        ([[dt.datetime(2024, 3, 31, 2, 30, tzinfo=BERLIN)]], "doesn't exist in its time zone"),
        ([pd.Timestamp(5), pd.Timestamp(5).as_unit("s")], "several units"),
        ([SECRET + "\ud800"], "string"),
        ([2**64], "uint64"),
        ([-1, 2**63], "uint64"),
        ([Decimal(1), Decimal("Infinity")], "decimal"),
        ([Decimal("NaN")], "missing"),
        ([Decimal("sNaN")], "object"),
        ([[Decimal("sNaN")]], "object"),
        ([{SECRET + "\ud800": 1}], "struct"),
        ([Decimal(10) ** 39], "decimal"),
        ([dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime(2024, 1, 1)], "time zones"),
        ([dt.time(1, tzinfo=dt.UTC)], "time zones"),
        ([dt.date(2024, 1, 1), dt.datetime(2024, 1, 1)], "date, datetime"),
        (np.array([1j]), "complex128"),
        (pd.period_range("2024", periods=1), "period"),
        (pd.interval_range(0, 1), "interval"),
        (pd.cut([1.5], [1, 2]), "interval"),
        (pd.arrays.SparseArray([0]), "Sparse"),
        (pd.Categorical([(SECRET, 1)]), "labels that are tuples"),
    ],
)
def test_a_column_that_can_not_come_back_is_refused_without_its_values(
    format_: StorageFormat, column: Any, says: str
) -> None:
    frame = pd.DataFrame({"good": range(len(column))})
    if isinstance(column, list):
        array = np.empty(len(column), dtype=object)
        array[:] = column
        frame["bad"] = pd.Series(array, dtype=object)
    else:
        frame["bad"] = column
    with pytest.raises(UnstorableTableError, match=rf"'bad'.*{says}") as caught:
        stored(frame, format_)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@EACH_FORMAT
@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "'a' is there more than once"),
        (pd.DataFrame({0: [1]}), "column 0 is int"),
        (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])), "several levels"),
        (pd.DataFrame({"a": [1]}, index=pd.Index([1], name=5)), "index level is int"),
        (pd.DataFrame({"a": [1, 2]}, index=pd.Index([1, "x"], dtype=object)), "level_0"),
        (pd.DataFrame({"__index_level_0__": [1]}, index=["x"]), "__index_level_0__"),
        (pd.DataFrame([[1]], columns=pd.period_range("2024", periods=1)), "column 0 is Period"),
        (pd.DataFrame([[1]], columns=pd.interval_range(0, 1)), "column 0 is Interval"),
        (pd.DataFrame([[1]], columns=pd.date_range("2024", periods=1)), "column 0 is Timestamp"),
        (pd.DataFrame([[1, 2]], columns=["a", np.nan]), "column 1 is float"),
        (pd.DataFrame({"a": [1]}, index=pd.period_range("2024", periods=1)), "period"),
        (pd.DataFrame({"a": [1]}, index=pd.interval_range(0, 1)), "interval"),
        (pd.DataFrame({"a": [1]}, index=pd.date_range("2024", periods=1, freq=HOLIDAYS)), "freq"),
        ({"a": [1]}, "not dict"),
        (pa.table([[1], [2]], names=["a", "a"]), "'a' is there more than once"),
        (
            pd.DataFrame([[1]], columns=pd.Index(["\ud800"], dtype=object)),
            "name of column 0 .* UTF-8",
        ),
        (pd.DataFrame({"a": [1]}, index=pd.Index([1], name="\ud800")), "name of column 1 .* UTF-8"),
        (pd.DataFrame({"a": [1]}, index=pd.Index([Decimal("sNaN")], dtype=object)), "[Ii]ndex"),
        (pa.Table.from_arrays([[1]], schema=pa.schema([pa.field(b"\xff", pa.int64())])), "UTF-8"),
    ],
)
def test_a_table_that_can_not_come_back_is_refused(
    format_: StorageFormat, frame: Any, says: str
) -> None:
    with pytest.raises(UnstorableTableError, match=says):
        stored(frame, format_)


@EACH_FORMAT
def test_dictionaries_that_together_are_too_large_for_their_type_are_refused(
    format_: StorageFormat,
) -> None:
    type_ = pa.dictionary(pa.int8(), pa.string())
    chunks = [pa.array([f"{SECRET}{each}{n}" for n in range(100)], type_) for each in "ab"]
    with pytest.raises(UnstorableTableError, match=r"'site' .* dictionary") as caught:
        stored(pa.table({"n": range(200), "site": pa.chunked_array(chunks)}), format_)
    assert SECRET not in str(caught.value)


def test_a_table_of_a_set_whose_name_is_no_text_of_unicode_is_refused(tmp_path: Path) -> None:
    store = LocalPipelineStore(tmp_path)
    with pytest.raises(UnstorableTableError, match=r"of 'forms' can't be stored: Its .* UTF-8"):
        store.publish_set({"AE": pa.table({"a": [1]}), "\ud800": pa.table({"a": [1]})}, "forms")
    assert store.list_artifacts() == []


# Arrow tables

SIMPLE_TYPES = [
    *(
        pa.timestamp(unit, zone)
        for unit in ("s", "ms", "us", "ns")
        for zone in (None, "UTC", "+02:00", "+05:30")
    ),
    *(pa.duration(unit) for unit in ("s", "ms", "us", "ns")),
    *(pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"), pa.date32()),
    *(pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.bool_(), pa.null()),
    *(pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.binary(3)),
    *(pa.decimal128(38, 5), pa.decimal128(5, 0), pa.date64()),
    *(pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int32(), pa.int64())),
]


def values_of(type_: pa.DataType) -> list[Any]:  # noqa: PLR0911, one a type
    if pa.types.is_null(type_):
        return [None, None, None]
    if pa.types.is_dictionary(type_):
        return values_of(type_.value_type)
    if pa.types.is_boolean(type_):
        return [True, None, False]
    if pa.types.is_decimal(type_):
        return [Decimal(12345).scaleb(-type_.scale), None, Decimal(0)]
    if pa.types.is_fixed_size_binary(type_):
        return [b"\xff\x00,", None, b"abc"]
    if "binary" in str(type_):
        return [b"\xff\x00,", None, b""]
    if "string" in str(type_):
        return ["001", None, ""]
    if pa.types.is_float16(type_):
        return [np.float16(0.1), None, np.float16("nan")]
    if pa.types.is_floating(type_):
        return [0.1, None, float("inf")]
    return [86_400_000 if pa.types.is_date64(type_) else 7, None, 0]


@EACH_FORMAT
@pytest.mark.parametrize("type_", SIMPLE_TYPES, ids=str)
def test_an_arrow_table_comes_back(format_: StorageFormat, type_: pa.DataType) -> None:
    field = pa.field("c", type_, metadata={"unit": "kg"})
    schema = pa.schema([field], metadata={"source": "lab"})
    for values in (values_of(type_), []):
        table = pa.table([pa.array(values, type_)], schema=schema)
        found = without_notes(stored(table, format_)[0])
        assert found.schema.equals(schema, check_metadata=True)
        assert list(map(repr, found["c"].to_pylist())) == list(map(repr, table["c"].to_pylist()))


@EACH_FORMAT
def test_an_arrow_table_without_columns_comes_back(format_: StorageFormat) -> None:
    assert without_notes(stored(pa.table({}), format_)[0]).equals(pa.table({}))


def test_an_ordered_dictionary_keeps_its_order_in_parquet() -> None:
    column = pa.DictionaryArray.from_arrays([2, 0, 0], ["lo", "mid", "hi"], ordered=True)
    found = stored(pa.table({"c": column}), StorageFormat.PARQUET)[0]
    assert found["c"].chunk(0).equals(column)


@EACH_FORMAT
@pytest.mark.parametrize(
    "array",
    [
        pa.array([[1, None], None, []]),
        pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": ""}]),
        pa.array([[{"on": MOMENT, "day": MOMENT.date(), "ü": [0.1, 1e300]}], [], None]),
        pa.array([[MOMENT]], pa.list_(pa.timestamp("us", "UTC"))),
        pa.array([], pa.list_(pa.struct([("a", pa.string())]))),
        pa.array([[("k", 1), ("l", None)], None, []], pa.map_(pa.string(), pa.int64())),
        pa.array([[("k", [MOMENT])]], pa.map_(pa.string(), pa.list_(pa.timestamp("ns", "UTC")))),
        pa.array([[b"\xff", None], []]),
        pa.array([[1, 2**60 + 1]], pa.list_(pa.timestamp("ns"))),
        pa.array([[1, None]], pa.list_(pa.duration("ns"))),
        pa.array([[Decimal("1.50"), None]]),
        pa.array([[dt.time(1, 2, 3, 4)]]),
        pa.array([[0.1, None]], pa.list_(pa.float32())),
        pa.array([["a", None]], pa.large_list(pa.large_string())),
    ],
)
def test_lists_structs_and_maps_come_back(format_: StorageFormat, array: pa.Array) -> None:
    table = pa.table({"nested": array})
    assert stored(table, format_)[0].equals(table, check_metadata=True)


@pytest.mark.parametrize(
    "array",
    [
        pa.array([[float("nan")]]),
        pa.array([[float("inf")]]),
        pa.array([[1]], pa.list_(pa.time64("ns"))),
    ],
)
def test_what_json_cannot_give_back_is_refused_by_csv(array: pa.Array) -> None:
    table = pa.table({"nested": array})
    assert stored(table, StorageFormat.PARQUET)[0].num_rows == table.num_rows
    with pytest.raises(UnstorableTableError, match="'nested'"):
        stored(table, StorageFormat.CSV)


EMPTY_LIST = pa.list_(pa.int64(), 0)


@EACH_FORMAT
@pytest.mark.parametrize(
    "array",
    [
        pa.array([], EMPTY_LIST),
        pa.array([[], None], EMPTY_LIST),
        pa.array([[[]]], pa.list_(EMPTY_LIST)),
        pa.array([{"a": [[]]}], pa.struct([("a", pa.list_(EMPTY_LIST))])),
        pa.array([[("k", [])]], pa.map_(pa.string(), EMPTY_LIST)),
        pa.DictionaryArray.from_arrays([0, None], pa.array([[1]])),
        pa.DictionaryArray.from_arrays([0, None], pa.array([{"a": 1}])),
    ],
)
def test_an_arrow_type_that_no_reading_restores_is_refused(
    format_: StorageFormat, array: pa.Array, tmp_path: Path
) -> None:
    store = LocalPipelineStore(tmp_path, "", format_)
    with pytest.raises(UnstorableTableError, match="Column 'nested'"):
        store.publish(pa.table({"nested": array}), "labs")


def test_an_arrow_type_that_parquet_has_not_is_refused() -> None:
    table = pa.table({"odd": pa.array([(1, 2, 3)], pa.month_day_nano_interval())})
    with pytest.raises(UnstorableTableError, match=r"'odd'.*interval"):
        stored(table, StorageFormat.PARQUET)


def test_a_date64_that_is_no_whole_day_is_refused_by_parquet() -> None:
    with pytest.raises(UnstorableTableError, match="'d'"):
        stored(pa.table({"d": pa.array([5], pa.date64())}), StorageFormat.PARQUET)


@EACH_FORMAT
def test_whole_numbers_with_nulls_stay_whole_in_pandas(format_: StorageFormat) -> None:
    """A table that never was a frame: its types don't depend on its rows."""
    for values in ([2**60 + 1, None], [2**60 + 1, 2]):
        table = pa.table({"n": pa.array(values, pa.int64()), "b": pa.array([True] * 2)})
        frame = arrow_to_frame(stored(table, format_)[0])
        assert list(map(str, frame.dtypes)) == ["Int64", "boolean"]
        assert frame["n"][0] == 2**60 + 1


@EACH_FORMAT
def test_a_table_that_came_from_a_frame_may_be_changed_and_stored_again(
    format_: StorageFormat,
) -> None:
    """Notes on the frame must not be taken for notes on what became of it."""
    frame = pd.DataFrame({"c": pd.Categorical(["a", None]), "n": [1, 2]}, index=[5, 6])
    table = without_notes(stored(frame, format_)[0])
    changed = pa.concat_tables([table, table]).slice(1)
    assert len(arrow_to_frame(stored(changed, format_)[0])) == 3
    assert len(arrow_to_frame(stored(changed.append_column("x", [[1, 2, 3]]), format_)[0])) == 3


# Bytes


@EACH_FORMAT
def test_the_same_table_is_the_same_bytes_in_whatever_pieces(format_: StorageFormat) -> None:
    rows = 40_000
    table = pa.table(
        {"n": range(rows), "s": [f"{n % 97:03d}" if n % 3 else None for n in range(rows)]}
    )
    whole = stored(table, format_)[1]
    for size in (500, 16_384, 9_999):
        pieces = pa.Table.from_batches(table.to_batches(max_chunksize=size))
        assert stored(pieces, format_)[1] == whole
    ends = [pa.concat_tables([table.slice(0, 7), table.slice(7)]), table.combine_chunks()]
    assert [stored(each, format_)[1] == whole for each in ends] == [True, True]


def test_a_csv_reads_well_elsewhere() -> None:
    moment = pd.Timestamp("2024-01-01 12:00", tz="Europe/Berlin").as_unit("ns")
    frame = pd.DataFrame(
        {
            "id": ["001", None, ""],
            "n": [1, 2, 3],
            "at": [moment, None, moment],
            "x": [0.5, None, 1.0],
        },
        index=pd.Index(["a", "b", 'c"'], name="site"),
    )
    assert stored(frame, StorageFormat.CSV)[1].decode() == (
        '"id","n","at","x","site"\n'
        '"001",1,2024-01-01 11:00:00.000000000Z,0.5,"a"\n'
        ',2,,,"b"\n'
        '"",3,2024-01-01 11:00:00.000000000Z,1,"c"""\n'
    )


def test_a_very_long_field_comes_back_from_csv() -> None:
    frame = pd.DataFrame({"note": ["x\n" * (12 << 20), "y"]})
    assert_frame_equal(came_back(frame, StorageFormat.CSV), frame)


def test_moments_that_csv_can_not_spell_are_refused() -> None:
    table = pa.table({"at": pa.array([2**62], pa.timestamp("us"))})
    with pytest.raises(UnstorableTableError, match="'at'"):
        stored(table, StorageFormat.CSV)


@EACH_FORMAT
def test_rows_are_taken_by_place_whatever_the_index_says(format_: StorageFormat) -> None:
    rows = 40_000
    frame = pd.DataFrame(
        {
            "text": pd.Series([str(row) for row in range(rows)], dtype="string"),
            "at": pd.date_range("2024", periods=rows, freq="min", tz="Europe/Berlin"),
            "arm": pd.Categorical.from_codes([row % 2 for row in range(rows)], ["b", "a"]),
        }
    )
    for index in (np.arange(rows)[::-1].astype(float), np.arange(rows) % 7, np.arange(rows) - 5):
        assert_frame_equal(came_back(frame.set_axis(index), format_), frame.set_axis(index))
