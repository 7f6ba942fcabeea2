"""What a downstream asset gets: by its annotation, from one partition or many."""

from datetime import UTC, datetime
from typing import Optional

import dagster as dg
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from orch_assets.defs.io.io_manager import LocalPipelineIOManager
from orch_assets.defs.io.loading import load, load_together, requested_table_type
from orch_assets.defs.partitions import studies
from orch_assets.errors import ArtifactNotFoundError, StoreError
from orch_assets.stores import LocalPipelineStore
from orch_assets_tests.defs.instances import temporary_instance

STUDIES = ["ONC-301", "CARD-12"]
DAYS = ["2024-01-01", "2024-01-02"]
BOTH = dg.MultiPartitionsDefinition(
    {"study": studies, "date": dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-03")}
)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def real():
    with temporary_instance() as instance:
        instance.add_dynamic_partitions("studies", STUDIES)
        yield instance


def run(folder, real, *assets, select=None, partition_key=None):
    return dg.materialize(
        [*assets],
        selection=select and [select],
        instance=real,
        partition_key=partition_key,
        resources={"io_manager": LocalPipelineIOManager(root=str(folder), prefix="prod")},
        run_config=QUIET,
    )


def seen_as(annotations, value, tmp_path, real):
    """Return what assets with these annotations receive of a value."""
    seen = {}

    @dg.asset
    def upstream():
        return value

    def reader(number, annotation):
        def downstream(upstream) -> None:
            seen[number] = upstream

        downstream.__annotations__["upstream"] = annotation
        return dg.asset(downstream, name=f"reader_{number}")

    readers = [reader(*each) for each in enumerate(annotations)]
    assert run(tmp_path, real, upstream, *readers).success
    return [seen[number] for number in range(len(annotations))]


FRAME = pd.DataFrame({"id": ["001", None], "n": [1, 2]})
COLUMNS = {"id": ["001", None], "n": [1, 2]}
TYPES = [pd.DataFrame, pa.Table, pa.RecordBatchReader, pl.DataFrame, pl.LazyFrame]


@pytest.mark.parametrize(
    "make",
    [
        pd.DataFrame,
        pa.table,
        pl.DataFrame,
        pl.LazyFrame,
        lambda columns: pa.table(columns).to_reader(),
    ],
    ids=["pandas", "arrow", "polars", "lazy", "stream"],
)
def test_every_table_type_comes_as_every_other(make, tmp_path, real):
    frame, *others = seen = seen_as(TYPES, make(COLUMNS), tmp_path, real)
    assert [isinstance(*each) for each in zip(seen, TYPES, strict=True)] == [True] * 5
    assert [None if pd.isna(each) else each for each in frame["id"]] == ["001", None]
    assert list(frame["n"]) == [1, 2]
    assert others[0].to_pydict() == COLUMNS
    assert others[1].read_all().to_pydict() == COLUMNS
    assert others[2].to_dict(as_series=False) == COLUMNS
    assert others[3].collect().to_dict(as_series=False) == COLUMNS


def test_a_column_without_a_name_has_none_in_polars(tmp_path, real):
    table = pa.table([[1], [2]], names=["", "column_0"])
    frame, query = seen_as([pl.DataFrame, pl.LazyFrame], table, tmp_path, real)
    assert frame.to_dict(as_series=False) == {"": [1], "column_0": [2]}
    assert query.collect().columns == ["", "column_0"]


def test_a_type_or_none_is_that_type(tmp_path, real):
    seen = seen_as([pa.Table | None, Optional[pl.DataFrame]], FRAME, tmp_path, real)  # noqa: UP045
    assert list(map(type, seen)) == [pa.Table, pl.DataFrame]


def test_where_there_is_nothing_before_none_comes(tmp_path, real):
    """An asset that goes on from its own partition of the day before."""
    seen = []
    before = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)

    @dg.asset(
        partitions_def=dg.DailyPartitionsDefinition(DAYS[0], end_date="2024-01-03"),
        ins={"total": dg.AssetIn(partition_mapping=before)},
    )
    def total(total: pd.DataFrame | None) -> pd.DataFrame:
        seen.append(total)
        return FRAME

    for day in DAYS:
        run(tmp_path, real, total, partition_key=day)
    assert seen[0] is None
    pd.testing.assert_frame_equal(seen[1], FRAME)


def test_a_set_comes_with_the_tables_of_its_annotation(tmp_path, real):
    value = {"a": FRAME, "b": pl.LazyFrame({"x": [1]}), "c": pa.table({"y": [2]}).to_reader()}
    annotations = [*(dict[str, table] for table in TYPES), dict]
    for seen, table in zip(
        seen_as(annotations, value, tmp_path, real), [*TYPES, pd.DataFrame], strict=True
    ):
        assert list(seen) == ["a", "b", "c"]
        assert all(isinstance(each, table) for each in seen.values())
        if table is pa.RecordBatchReader:
            assert seen["b"].read_all().to_pydict() == {"x": [1]}


# --- many studies ---


@dg.asset(partitions_def=studies)
def subjects(context: dg.AssetExecutionContext) -> pd.DataFrame:
    rows = 2 if context.partition_key == "ONC-301" else 0
    return pd.DataFrame({"subject": [f"{n:03}" for n in range(rows)], "n": range(rows)})


def together(annotation, tmp_path, real, upstream=subjects, **options):
    seen = []

    def combined(subjects) -> None:
        seen.append(subjects.read_all() if hasattr(subjects, "read_all") else subjects)

    combined.__annotations__["subjects"] = annotation
    done = run(tmp_path, real, upstream, asset := dg.asset(**options)(combined), select=asset)
    assert done.success
    return seen[0]


@pytest.fixture
def materialized(tmp_path, real):
    for study in STUDIES:
        run(tmp_path, real, subjects, partition_key=study)


@pytest.mark.usefixtures("materialized")
@pytest.mark.parametrize("annotation", [pd.DataFrame, pa.Table, pa.RecordBatchReader, pl.DataFrame])
def test_many_studies_come_as_one_table_with_their_key(annotation, tmp_path, real):
    seen = together(annotation, tmp_path, real)
    columns = {"study_key": ["ONC-301"] * 2, "subject": ["000", "001"], "n": [0, 1]}
    if annotation is pa.RecordBatchReader:
        assert seen.to_pydict() == columns
    elif annotation is pa.Table:
        assert seen.to_pydict() == columns
        assert seen.schema.types == [pa.string(), pa.string(), pa.int64()]
    elif annotation is pl.DataFrame:
        assert seen.to_dict(as_series=False) == columns
    else:
        pd.testing.assert_frame_equal(seen, pd.DataFrame(columns))


@pytest.mark.usefixtures("materialized")
def test_many_studies_come_as_a_dict_of_the_wanted_type(tmp_path, real):
    seen = together(dict[str, pa.Table], tmp_path, real)
    assert {key: table.num_rows for key, table in seen.items()} == {"ONC-301": 2, "CARD-12": 0}
    assert all(isinstance(table, pa.Table) for table in seen.values())


def test_all_studies_are_a_dict_even_where_there_is_one(tmp_path, real):
    real.delete_dynamic_partition("studies", "CARD-12")
    run(tmp_path, real, subjects, partition_key="ONC-301")
    assert list(together(dict[str, pd.DataFrame], tmp_path, real)) == ["ONC-301"]


def test_studies_that_were_never_stored_are_left_out_unless_all_are_required(tmp_path, real):
    run(tmp_path, real, subjects, partition_key="ONC-301")
    ins = {"subjects": dg.AssetIn(metadata={"allow_missing_partitions": True})}
    assert list(together(dict[str, pd.DataFrame], tmp_path, real, ins=ins)) == ["ONC-301"]
    assert list(together(dict[str, pd.DataFrame], tmp_path, real)) == ["ONC-301"]
    ins = {"subjects": dg.AssetIn(metadata={"require_all": True})}
    with pytest.raises(Exception, match="CARD-12"):
        together(dict[str, pd.DataFrame], tmp_path, real, ins=ins)


def test_other_partitions_that_were_never_stored_are_left_out_on_request(tmp_path, real):
    days = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-03")

    @dg.asset(partitions_def=days, name="subjects")
    def daily() -> pd.DataFrame:
        return pd.DataFrame({"n": [1]})

    run(tmp_path, real, daily, partition_key=DAYS[0])
    ins = {"subjects": dg.AssetIn(metadata={"allow_missing_partitions": True})}
    seen = together(dict[str, pd.DataFrame], tmp_path, real, daily, ins=ins)
    assert list(seen) == [DAYS[0]]
    with pytest.raises(Exception, match=DAYS[1]):
        together(dict[str, pd.DataFrame], tmp_path, real, daily)


@pytest.mark.parametrize("annotation", [pd.DataFrame, pa.Table, pa.RecordBatchReader, pl.DataFrame])
def test_an_input_is_read_as_of_a_mark_or_a_moment(annotation, tmp_path, real):
    """From one study, from many as one table, and from many as a dict."""
    store = LocalPipelineStore(tmp_path, "prod")
    for study in STUDIES:
        name = f"subjects/{study}"
        earlier = store.publish(pd.DataFrame({"n": [1, 2]}), name)
        store.mark("interim", {name: earlier.sha256}, study=study)
    moment = datetime.now(UTC).isoformat()
    for study in STUDIES:
        store.publish(pd.DataFrame({"n": [3]}), f"subjects/{study}")
    for as_of, rows in (("interim", 2), (moment, 2), (None, 1)):
        ins = {"subjects": dg.AssetIn(metadata={"as_of": as_of} if as_of else {})}
        assert rows_of(together(annotation, tmp_path, real, ins=ins)) == 2 * rows
        tables = together(dict[str, annotation], tmp_path, real, ins=ins)
        assert [rows_of(table) for table in tables.values()] == [rows, rows]


def rows_of(table):
    return table.read_all().num_rows if isinstance(table, pa.RecordBatchReader) else len(table)


@pytest.mark.parametrize("annotation", [pd.DataFrame, dict[str, pd.DataFrame]])
def test_a_study_that_a_mark_does_not_hold_is_never_left_out(annotation, tmp_path, real):
    store = LocalPipelineStore(tmp_path, "prod")
    for study in STUDIES:
        published = store.publish(pd.DataFrame({"n": [1]}), f"subjects/{study}")
    store.mark("interim", {f"subjects/{STUDIES[1]}": published.sha256}, study=STUDIES[1])
    metadata = {"as_of": "interim", "allow_missing_partitions": True}
    with pytest.raises(Exception, match=f"holds no table .*{STUDIES[0]}"):
        together(annotation, tmp_path, real, ins={"subjects": dg.AssetIn(metadata=metadata)})


def test_sets_and_values_are_read_as_of_a_mark(tmp_path):
    """Whatever the artifact is now."""
    store = LocalPipelineStore(tmp_path)
    versions = {
        "s": store.publish_set({"a": pa.table({"n": [1]})}, "s").sha256,
        "j": store.publish_json([1], "j").sha256,
    }
    store.mark("interim", versions, study="S")
    store.publish(pa.table({"n": [2]}), "s")
    store.publish_json([2], "j")
    assert load(store, "s", "pyarrow.Table", "interim")["a"].to_pydict() == {"n": [1]}
    (reader,) = load(store, "s", "pyarrow.RecordBatchReader", "interim").values()
    assert reader.read_all().to_pydict() == {"n": [1]}
    assert load(store, "j", "pyarrow.Table", "interim") == [1]
    with pytest.raises(ArtifactNotFoundError, match="no mark 'final'"):
        load(store, "s", "pyarrow.Table", "final")
    store.publish(pa.table({"n": [2]}), "j")
    with pytest.raises(StoreError, match="more than one artifact"):
        load(store, "j", "pyarrow.Table", datetime.now(UTC).isoformat())


def test_tables_that_do_not_fit_together_are_named(tmp_path, real):
    @dg.asset(partitions_def=studies, name="subjects")
    def changing(context: dg.AssetExecutionContext) -> pd.DataFrame:
        return pd.DataFrame({"n": [1] if context.partition_key == "ONC-301" else ["x"]})

    for study in STUDIES:
        run(tmp_path, real, changing, partition_key=study)
    says = r"subjects/\S+ doesn't fit together with subjects/\S+: its column 'n' is \w+ here and "
    for annotation in (pd.DataFrame, pa.Table, pl.DataFrame, pa.RecordBatchReader):
        with pytest.raises(Exception, match=says) as caught:
            together(annotation, tmp_path, real, changing)
        assert isinstance(caught.value, StoreError) or "StoreError" in str(caught.getrepr())


@pytest.mark.parametrize("annotation", [pd.DataFrame, pa.Table, pl.DataFrame])
def test_whole_numbers_that_one_study_lacks_stay_whole(annotation, tmp_path, real):
    """Beyond 2**53 a float would change them: an ID of another system, for one."""

    @dg.asset(partitions_def=studies, name="subjects")
    def lacking(context: dg.AssetExecutionContext) -> pd.DataFrame:
        number = 2**60 + 1
        return pd.DataFrame(
            {"ext_id": [number]} if context.partition_key == "ONC-301" else {"n": [1]}
        )

    for study in STUDIES:
        run(tmp_path, real, lacking, partition_key=study)
    seen = together(annotation, tmp_path, real, lacking)
    if annotation is pd.DataFrame:
        assert str(seen["ext_id"].dtype) == "Int64"
        assert seen["ext_id"].dropna().tolist() == [2**60 + 1]
    else:
        column = seen["ext_id"]
        found = column.to_pylist() if annotation is pa.Table else column.to_list()
        assert sorted(found, key=str) == [2**60 + 1, None]


def test_a_key_column_that_says_something_else_is_refused(tmp_path, real):
    @dg.asset(partitions_def=studies, name="subjects")
    def keyed(context: dg.AssetExecutionContext) -> pd.DataFrame:
        return pd.DataFrame({"study_key": [context.partition_key], "n": [1]})

    @dg.asset(partitions_def=studies, name="subjects")
    def wrong() -> pd.DataFrame:
        return pd.DataFrame({"study_key": ["planted"], "n": [1]})

    for study in STUDIES:
        run(tmp_path, real, keyed, partition_key=study)
    for annotation in (pd.DataFrame, pa.Table):
        assert list(together(annotation, tmp_path, real, keyed)["study_key"].to_numpy()) == sorted(
            STUDIES
        )
    run(tmp_path, real, wrong, partition_key="CARD-12")
    for annotation in (pd.DataFrame, pa.Table):
        with pytest.raises(StoreError, match="'study_key'") as caught:
            together(annotation, tmp_path, real, wrong)
        assert "planted" not in str(caught.value)


@pytest.mark.parametrize("annotation", [pd.DataFrame, pa.Table, pa.RecordBatchReader, pl.DataFrame])
@pytest.mark.parametrize(
    "keys",
    [
        pa.array(["1", None]),
        pd.array(["1", None], dtype="string"),
        pd.array(["1", None], dtype=pd.ArrowDtype(pa.string())),
        pa.nulls(2),
        pa.array(["1", None]).dictionary_encode(),
        pa.array([1, 1]),
        pa.array([["1"], ["1"]]),
    ],
    ids=["text", "nullable", "pyarrow", "nulls", "dictionary", "numbers", "lists"],
)
def test_rows_of_a_key_column_without_the_key_are_refused(keys, annotation, tmp_path):
    store = LocalPipelineStore(tmp_path)
    table = pa.table if isinstance(keys, pa.Array) else pd.DataFrame
    store.publish(table({"study_key": keys, "n": [1, 2]}), "subjects/1")
    names = {"subjects/1": {"study_key": "1"}}
    with pytest.raises(StoreError, match="'study_key' of its own"):
        load_together(store, names, requested_table_type(annotation))


def test_sets_of_many_studies_come_as_a_dict_of_dicts(tmp_path, real):
    @dg.asset(partitions_def=studies, name="subjects")
    def forms(context: dg.AssetExecutionContext):
        return {"AE": pa.table({"study": [context.partition_key]}).to_reader()}

    for study in STUDIES:
        run(tmp_path, real, forms, partition_key=study)
    seen = together(dict[str, dict[str, pa.Table]], tmp_path, real, forms)
    assert {key: each["AE"].to_pydict() for key, each in seen.items()} == {
        study: {"study": [study]} for study in STUDIES
    }
    for annotation in (pd.DataFrame, pa.Table, pa.RecordBatchReader):
        with pytest.raises(StoreError, match="is a set of tables"):
            together(annotation, tmp_path, real, forms)


# --- study × date ---


@dg.asset(partitions_def=BOTH)
def visits(context: dg.AssetExecutionContext) -> pd.DataFrame:
    keys = context.partition_key.keys_by_dimension
    return pd.DataFrame({"visit": [f"{keys['study']} {keys['date']}"]})


@pytest.fixture
def visited(tmp_path, real):
    for study in STUDIES:
        for day in DAYS:
            key = dg.MultiPartitionKey({"study": study, "date": day})
            assert run(tmp_path, real, visits, partition_key=key).success


@pytest.mark.usefixtures("visited")
def test_study_and_date_are_folders(tmp_path):
    names = LocalPipelineStore(tmp_path, "prod").list_artifacts()
    assert names == sorted(f"visits/{day}/{study}" for study in STUDIES for day in DAYS)


@pytest.mark.usefixtures("visited")
def test_one_partition_of_several_dimensions_comes_as_it_is(tmp_path, real):
    seen = []

    @dg.asset(partitions_def=BOTH)
    def downstream(visits: pd.DataFrame) -> None:
        seen.append(visits)

    key = dg.MultiPartitionKey({"study": "ONC-301", "date": DAYS[1]})
    run(tmp_path, real, visits, downstream, select=downstream, partition_key=key)
    assert seen[0].to_dict("list") == {"visit": ["ONC-301 2024-01-02"]}


@pytest.mark.usefixtures("visited")
def test_all_dates_of_a_study_come_with_both_keys(tmp_path, real):
    seen = []

    @dg.asset(partitions_def=studies)
    def downstream(visits: pd.DataFrame) -> None:
        seen.append(visits)

    run(tmp_path, real, visits, downstream, select=downstream, partition_key="ONC-301")
    assert seen[0].to_dict("list") == {
        "date": DAYS,
        "study": ["ONC-301"] * 2,
        "visit": [f"ONC-301 {day}" for day in DAYS],
    }


@pytest.mark.usefixtures("visited")
def test_everything_comes_as_a_dict_by_partition(tmp_path, real):
    seen = {}

    @dg.asset
    def downstream(visits: dict[str, pd.DataFrame]) -> None:
        seen.update(visits)

    run(tmp_path, real, visits, downstream, select=downstream)
    assert sorted(seen) == sorted(f"{day}|{study}" for study in STUDIES for day in DAYS)
    assert all(
        frame["visit"][0] == " ".join(reversed(key.split("|"))) for key, frame in seen.items()
    )
