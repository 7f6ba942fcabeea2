"""What a pipeline is handed in the run that made it is what the store gives later."""

import datetime as dt
from decimal import Decimal
from enum import Enum
from types import MappingProxyType

import dagster as dg
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given

from orch_assets import study_pipeline
from orch_assets.defs.io.table_types import as_handed, as_result, handed_on
from orch_assets.errors import StoreError
from orch_assets.orchestration.defining.received_types import ARROW, PANDAS
from orch_assets.stores import LocalPipelineStore
from orch_assets.stores.artifacts import StorageFormat
from orch_assets.stores.formats.frames import arrow_to_frame
from orch_assets.stores.tables import without_notes
from orch_assets_tests.stores.test_fidelity import EDGES, QUICK, assert_same, frames, stored
from orch_assets_tests.support.harness import (
    definitions,
    execute,
    instance,
    materializations,
    observations,
)


def assert_handed_as_stored(frame):
    table, _ = stored(frame, StorageFormat.PARQUET)
    assert handed_on(frame)
    handed = as_handed(frame, PANDAS)
    assert_same(handed, arrow_to_frame(table))
    assert handed.attrs == arrow_to_frame(table).attrs
    assert as_handed(frame, ARROW).equals(without_notes(table), check_metadata=True)


@QUICK
@given(frame=frames())
def test_every_frame_is_handed_on_as_the_store_gives_it(frame):
    frame.attrs |= {"pair": (1, 2), "object": object()}
    assert_handed_as_stored(frame)


@pytest.mark.parametrize(
    "frame",
    [
        *EDGES,
        pd.DataFrame({"dose": [Decimal("0.1"), Decimal("12.50"), None]}),
        pd.DataFrame({"flag": [np.bool_(True), False]}, dtype=object),
    ],
)
def test_a_frame_at_the_edge_is_handed_on_as_the_store_gives_it(frame):
    assert_handed_as_stored(frame)


def test_categories_of_arrow_that_parquet_loses_are_read_from_the_store():
    numbers = pa.DictionaryArray.from_arrays([1, 0], [30, 10])
    assert not handed_on(pa.table({"c": numbers}))
    assert handed_on(pa.table({"c": [1]}))


@pytest.mark.parametrize("column", ["n", "at", "span", "text", "flag", "zoned", "arm"])
def test_a_frame_may_be_changed_in_place_wherever_it_came_from(column, tmp_path):
    frame = pd.DataFrame(
        {
            "n": [1, 2],
            "at": pd.date_range("2024", periods=2),
            "span": pd.to_timedelta([1, 2], unit="s"),
            "text": ["a", "b"],
            "flag": [True, False],
            "zoned": pd.date_range("2024", periods=2, tz="UTC"),
            "arm": pd.Categorical(["a", "b"]),
        }
    )
    store = LocalPipelineStore(tmp_path)
    store.upload(frame, "t")
    before = frame.copy()
    for given_frame in (as_handed(frame, PANDAS), store.download("t")):
        given_frame.loc[0, column] = given_frame.loc[1, column]
        given_frame[column].array[0] = given_frame[column].array[1]
        assert given_frame[column][0] == given_frame[column][1]
    assert_same(frame, before)
    assert_same(store.download("t"), before)


class Arm(str, Enum):  # noqa: UP042 - the older way, which users have
    A = "placebo"


class Own(str):
    """Text that equals nothing but itself."""

    __slots__ = ()
    __hash__ = object.__hash__
    __eq__ = object.__eq__


NAN = float("nan")


@pytest.mark.parametrize(
    ("returned", "kept"),
    [
        ({"subjects": 0, "mean_age": NAN}, {"subjects": 0, "mean_age": None}),
        ({"mean": np.float64("nan"), "n": np.int64(2)}, {"mean": None, "n": 2}),
        (NAN, None),
        ([pd.NA, pd.NaT, np.bool_(True), (1, 2)], [None, None, True, [1, 2]]),
        (MappingProxyType({"n": 1}), {"n": 1}),
        ({Arm.A: Arm.A}, {"placebo": "placebo"}),
    ],
)
def test_what_is_missing_is_null_and_scalars_are_pythons(returned, kept, tmp_path):
    value = as_result(returned)
    assert value == kept
    assert list(map(type, value or [])) == list(map(type, kept or []))
    store = LocalPipelineStore(tmp_path)
    store.publish_json(returned, "x", missing_as_null=True)
    assert store.download_json("x") == as_handed(value, PANDAS) == kept


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        ({12: "closed"}, r"Key 1 of the result is of the type int, and keys are text"),
        ({12: "a", "12": "b"}, r"Key 1 of the result is of the type int"),
        ({"sites": [{"a": 1}, {None: 1}]}, r'Key 1 of result\["sites"\]\[1\] is .* NoneType'),
        ({"S3CRET KEY": {1.5: 2}}, r"Key 1 of result\[key 1\] is of the type float"),
        ({"a": {True: 1}}, r'Key 1 of result\["a"\] is of the type bool'),
        ({(1, 2): 3}, "of the type tuple"),
        ({Own("placebo"): 1, "placebo": 2}, "Two keys of the result are the same text"),
        ({"ratio": [1.0, float("inf")]}, r'result\["ratio"\]\[1\] is infinite'),
        (
            {"when": dt.date(2024, 1, 1)},
            r'result\["when"\] is of the type datetime.date; .*isoformat',
        ),
        ({"when": np.datetime64("2024-01-01", "ns")}, "numpy.datetime64"),
        ({"ids": {1, 2}}, "of the type set; make a list"),
        ([np.array([1])], "numpy.ndarray; make a list"),
        ({"t": pd.DataFrame(), "n": 1}, r'result\["t"\] is of the type pandas.DataFrame'),
        (Decimal(1), "The result is of the type decimal.Decimal"),
        ({"half": "\ud83d"}, "half a character"),
        pytest.param(10**5000, "too many digits", id="digits"),
    ],
)
def test_what_json_has_not_is_refused_with_its_place_and_without_data(returned, says, tmp_path):
    with pytest.raises(StoreError, match=says) as caught:
        LocalPipelineStore(tmp_path).publish_json(returned, "x", missing_as_null=True)
    assert "S3CRET" not in str(caught.value)
    assert not handed_on(as_result(returned))


def test_a_value_in_itself_is_refused(tmp_path):
    value = []
    value.append(value)
    with pytest.raises(StoreError, match="holds itself"):
        LocalPipelineStore(tmp_path).publish_json(value, "x")


def test_a_store_alone_makes_no_null_of_nan(tmp_path):
    with pytest.raises(StoreError, match="The result is NaN"):
        LocalPipelineStore(tmp_path).publish_json(NAN, "x")


def test_keys_that_are_not_text_fail_the_study_and_say_so(tmp_path):
    @study_pipeline
    def sites(study_key, sdk, study_logger):
        return {12: "closed"}

    with instance("S1") as real:
        execute(definitions(tmp_path, sites), real, "S1")
        assert (
            "Key 1 of the result is of the type int" in observations(real, "sites")["S1"]["error"]
        )


def test_a_mean_of_nobody_is_null_in_data(tmp_path):
    @study_pipeline
    def facts(study_key, sdk, study_logger):
        ages = pd.Series([], dtype="float64")
        return {"subjects": len(ages), "mean_age": ages.mean()}

    with instance("S1") as real:
        execute(definitions(tmp_path, facts), real, "S1")
        (event,) = materializations(real, "facts")["S1"]
    assert event["data"] == {"subjects": 0, "mean_age": None}


def test_a_series_is_a_table_of_one_column(tmp_path):
    """Alone, in a set, of Polars; and in the same run as later."""

    @study_pipeline
    def by_site(study_key, sdk, study_logger):
        return pd.DataFrame({"site": ["A", "A", "B"]}).groupby("site").size()

    @study_pipeline
    def ages(study_key, sdk, study_logger):
        return {"a": pd.Series([1, 2], name="age"), "b": pl.Series("weight", [70.5])}

    @study_pipeline
    def after(study_key, sdk, study_logger, by_site, ages):
        frames = {"by_site": by_site, **ages}
        return {name: frame.reset_index().to_dict("list") for name, frame in frames.items()}

    with instance("S1") as real:
        defs = definitions(tmp_path, by_site, ages, after)
        execute(defs, real, "S1")
        store = LocalPipelineStore(tmp_path / "artifacts")
        together = store.download_json("after/S1")
        execute(defs, real, "S1", select=["after"])
        assert store.download_json("after/S1") == together
    assert together == {
        "by_site": {"site": ["A", "B"], "value": [2, 1]},
        "a": {"index": [0, 1], "age": [1, 2]},
        "b": {"index": [0], "weight": [70.5]},
    }


def test_pipelines_filter_and_group_a_table_that_has_lists(tmp_path):
    """With pandas, in the run that made it and later: the lists keep their type."""
    type_ = pa.list_(pa.struct([("id", pa.int64()), ("on", pa.timestamp("us", "UTC"))]))

    @study_pipeline
    def subjects(study_key, sdk, study_logger):
        keywords = pa.array([[{"id": 1, "on": None}], [], None], type_)
        return pa.table({"site": ["A", "B", "A"], "keywords": keywords})

    @study_pipeline
    def enrolled(study_key, sdk, study_logger, subjects):
        return subjects[subjects["keywords"].isna()]

    @study_pipeline
    def by_site(study_key, sdk, study_logger, subjects):
        return dict(list(subjects.groupby("site")))

    with instance("S1") as real:
        defs = definitions(tmp_path, subjects, enrolled, by_site)
        store = LocalPipelineStore(tmp_path / "artifacts")
        for select in (["subjects", "enrolled", "by_site"], ["enrolled", "by_site"]):
            execute(defs, real, "S1", select=select)
            tables = [store.download_table("enrolled/S1")]
            tables += store.download_set_tables("by_site/S1").values()
            assert [table.num_rows for table in tables] == [1, 2, 1]
            assert {table.schema.field("keywords").type for table in tables} == {type_}


def test_what_only_a_users_io_manager_keeps_is_read_from_it(tmp_path):
    """Objects, frames that our stores refuse: each pipeline gets its own, as later ones do."""
    seen = []

    @study_pipeline
    def model(study_key, sdk, study_logger):
        return {12: ["closed"], "frame": pd.DataFrame({"sets": [{1}]})}

    @study_pipeline
    def sets(study_key, sdk, study_logger):
        return pd.DataFrame({"sets": [{1}]})

    @study_pipeline
    def spoils(study_key, sdk, study_logger, model, sets):
        model[12].append("S3CRET")
        sets["sets"][0].add(2)

    @study_pipeline
    def after(study_key, sdk, study_logger, model, sets, spoils):
        seen.append((model[12], sets["sets"][0]))

    with instance("S1") as real:
        own = dg.FilesystemIOManager(base_dir=str(tmp_path / "pickles"))
        defs = definitions(tmp_path, model, sets, spoils, after, io_manager=own)
        execute(defs, real, "S1")
        execute(defs, real, "S1", select=["after"])
    assert seen == [(["closed"], {1})] * 2
