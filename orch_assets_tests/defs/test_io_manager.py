"""The IO manager in any Dagster project: ordinary assets, partitions, types, names."""

from dataclasses import replace

import dagster as dg
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from orch_assets.defs.io.artifact_names import artifact_name
from orch_assets.defs.io.io_manager import LocalPipelineIOManager, StudyIOManager
from orch_assets.defs.partitions import studies
from orch_assets.defs.resources import StoreResource
from orch_assets.errors import ArtifactNameError, SettingError, UnstorableTableError
from orch_assets.stores import ArtifactKind, LocalPipelineStore, publishing
from orch_assets.stores.names import encode_name
from orch_assets_tests.defs.instances import temporary_instance


def materialize(folder, *assets, **kwargs):
    io_manager = StudyIOManager(store=StoreResource(uri=str(folder)))
    return dg.materialize([*assets], resources={"io_manager": io_manager}, **kwargs)


@dg.asset
def source() -> pd.DataFrame:
    return pd.DataFrame({"id": ["001", None], "n": [1, 2]}, index=["x", "y"])


def test_an_ordinary_asset_gives_back_what_went_in(tmp_path):
    seen = {}

    @dg.asset
    def frame(source: pd.DataFrame) -> None:
        seen["frame"] = source

    @dg.asset
    def table(source: pa.Table) -> None:
        seen["table"] = source

    @dg.asset
    def untyped(source) -> None:
        seen["untyped"] = source

    assert materialize(tmp_path, source, frame, table, untyped).success
    pd.testing.assert_frame_equal(seen["frame"], source())
    pd.testing.assert_frame_equal(seen["untyped"], source())
    assert seen["table"].column("id").to_pylist() == ["001", None]


def test_several_partitions_come_as_a_dict_by_study(tmp_path):
    seen = {}

    @dg.asset(partitions_def=studies)
    def rows(context: dg.AssetExecutionContext) -> pd.DataFrame:
        return pd.DataFrame({"study": [context.partition_key]})

    @dg.asset
    def together(rows: dict[str, pd.DataFrame]) -> None:
        seen.update(rows)

    with temporary_instance() as real:
        real.add_dynamic_partitions("studies", ["S1", "s1", "A&B"])
        for key in ("S1", "s1", "A&B"):
            materialize(tmp_path, rows, instance=real, partition_key=key)
        materialize(tmp_path, rows, together, instance=real, selection=[together])
    assert {key: list(frame["study"]) for key, frame in seen.items()} == {
        key: [key] for key in ("S1", "s1", "A&B")
    }


def test_a_value_that_is_no_table_is_a_json_artifact(tmp_path):
    seen = {}

    @dg.asset
    def facts() -> dict[str, list[int]]:
        return {"a": [1, 2]}

    @dg.asset
    def reader(facts) -> None:
        seen.update(facts)

    assert materialize(tmp_path, facts, reader).success
    assert seen == {"a": [1, 2]}


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([{"planted"}], dtype=pl.Object),
        pl.Series([1], dtype=pl.Int128),
        pl.Series([[1]], dtype=pl.List(pl.Int128)),
    ],
    ids=["objects", "int128", "list"],
)
@pytest.mark.parametrize("wrap", [lambda frame: frame, lambda frame: {"AE": frame}, pl.LazyFrame])
def test_a_polars_column_that_arrow_has_no_type_for_is_refused(column, wrap, tmp_path):
    frame = pl.DataFrame({"id": ["001"], "v": column})
    io_manager = LocalPipelineIOManager(root=str(tmp_path))
    with pytest.raises(UnstorableTableError, match=r"Column 1 .* (Object|Int128|List)") as caught:
        io_manager.handle_output(dg.build_output_context(asset_key=dg.AssetKey("a")), wrap(frame))
    assert "planted" not in str(caught.value)
    assert io_manager.pipeline_store().list_artifacts() == []


def test_the_kind_that_was_published_last_is_read(tmp_path):
    results = [pd.DataFrame({"a": [1]}), {"a": "text"}, pd.DataFrame({"a": [2]})]
    seen = []

    @dg.asset
    def changing():
        return results.pop(0)

    @dg.asset
    def reader(changing) -> None:
        seen.append(changing)

    for _ in range(3):
        materialize(tmp_path, changing, reader)
    assert list(seen[0]["a"]) == [1]
    assert seen[1] == {"a": "text"}
    assert list(seen[2]["a"]) == [2]


def test_an_earlier_kind_of_a_clock_ahead_is_read_until_it_is_deleted(tmp_path, monkeypatch):
    io_manager, key = LocalPipelineIOManager(root=str(tmp_path)), dg.AssetKey("changing")
    store, clock = io_manager.pipeline_store(), publishing.publication_here_and_now

    def ahead(*args):
        return replace(clock(*args), published_at="2999-01-01T00:00:00.000000+00:00")

    with monkeypatch.context() as patched:
        patched.setattr(publishing, "publication_here_and_now", ahead)
        io_manager.handle_output(dg.build_output_context(asset_key=key), {"a": "text"})
    io_manager.handle_output(dg.build_output_context(asset_key=key), pd.DataFrame({"a": [1]}))
    assert io_manager.load_input(dg.build_input_context(asset_key=key)) == {"a": "text"}
    store.delete("changing", kind=ArtifactKind.JSON)
    assert list(io_manager.load_input(dg.build_input_context(asset_key=key))["a"]) == [1]
    assert len(store.versions("changing", kind=ArtifactKind.JSON)) == 1


def test_names_tell_keys_and_partitions_apart():
    names = [
        artifact_name(dg.AssetKey(path), partition)
        for path in (["a"], ["a", "b"], ["a/b"], ["a.b"], ["a%2Eb"], ["A"], ["~ops"], ["~ops", "b"])
        for partition in (
            *(None, "S1", "s1", "a b", "a/b", "a%2Fb", "..", "%", "%2", "50%25"),
            dg.MultiPartitionKey({"x": "a/b", "y": "c"}),
            dg.MultiPartitionKey({"x": "a", "y": "b/c"}),
        )
    ]
    paths = [encode_name(name) for name in names]
    assert len({path.casefold() for path in paths}) == len(paths)


@pytest.mark.parametrize(
    ("path", "partition", "name"),
    [
        (["record_revisions"], "ONC-301", "record_revisions/ONC-301"),
        (["ae2"], "onc-301", "ae2/onc-301"),
        (["ae2"], "R&D-118", "ae2/R&D-118"),
        (["raw", "visits"], "50 %", "raw.visits/50 %"),
        (["visits"], "2024/01", "visits/2024%2F01"),
    ],
)
def test_a_name_is_the_asset_and_the_partition_as_people_type_them(path, partition, name):
    assert artifact_name(dg.AssetKey(path), partition) == name


def test_the_plain_names_read_what_the_io_manager_stored(tmp_path):
    """An asset's folder has its name, and a listing has the partitions' keys."""
    keys = ["onc-301", "ONC-301", "R&D-118", "KARDIO-Ü2", "S"]

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(keys))
    def ae2(context: dg.AssetExecutionContext) -> dict[str, pd.DataFrame]:
        return {"AE": pd.DataFrame({"study": [context.partition_key]})}

    @dg.asset
    def Labs() -> pd.DataFrame:  # noqa: N802 - an asset with capitals
        return pd.DataFrame({"n": [1]})

    for key in keys:
        assert materialize(tmp_path, ae2, partition_key=key).success
    assert materialize(tmp_path, Labs).success
    store = LocalPipelineStore(tmp_path)
    assert store.list_artifacts("ae2") == sorted(f"ae2/{key}" for key in keys)
    for key in keys:
        assert list(store.download_set(f"ae2/{key}")["AE"]["study"]) == [key]
    assert len(store.download("Labs")) == 1
    assert {path.name for path in (tmp_path / "ae2").glob("[!.]*.set")} == {
        "onc-301~~7.set",
        "ONC-301.set",
        "R~26D-118.set",
        "KARDIO-~c3~9c2.set",
        "S~~1.set",
    }


def test_what_a_development_version_stored_is_never_taken_for_a_missing_partition(tmp_path):
    """Not even where partitions may be missing: the run fails, and says what to do."""

    @dg.asset(partitions_def=studies)
    def ae2(context: dg.AssetExecutionContext) -> pd.DataFrame:
        return pd.DataFrame({"study": [context.partition_key]})

    @dg.asset(ins={"ae2": dg.AssetIn(metadata={"allow_missing_partitions": True})})
    def together(ae2: dict[str, pd.DataFrame]) -> None:
        pass

    LocalPipelineStore(tmp_path).upload(pd.DataFrame({"n": [1]}), "ae2/ONC-301")
    (tmp_path / "ae2").rename(tmp_path / "ae2~~3")
    with temporary_instance() as real:
        real.add_dynamic_partitions("studies", ["ONC-301"])
        with pytest.raises(ArtifactNameError, match=r"publish 'ae2/ONC-301' again"):
            materialize(tmp_path, ae2, together, instance=real, selection=[together])


@pytest.mark.parametrize(
    "io_manager",
    [
        lambda folder: StudyIOManager(
            store=StoreResource(uri=folder, store_format="csv", escape_formulas=True)
        ),
        lambda folder: LocalPipelineIOManager(root=folder, format="csv", escape_formulas=True),
    ],
)
def test_text_is_written_so_that_no_spreadsheet_takes_it_for_a_formula(tmp_path, io_manager):
    @dg.asset
    def texts() -> pd.DataFrame:
        return pd.DataFrame({"text": ["=1+1"]})

    @dg.asset
    def reader(texts: pd.DataFrame) -> None:
        assert list(texts["text"]) == ["=1+1"]

    assert dg.materialize(
        [texts, reader], resources={"io_manager": io_manager(str(tmp_path))}
    ).success
    assert (tmp_path / "texts.csv").read_text().splitlines() == ['"text"', '"\'=1+1"']


def test_the_stores_place_and_format_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("ORCH_STORE", str(tmp_path / "here"))
    monkeypatch.setenv("ORCH_STORE_FORMAT", "CSV")
    monkeypatch.setenv("ORCH_RESTRICTED_STORE", " ")
    assert StoreResource().store.upload(pd.DataFrame({"a": [1]}), "t").endswith("/here/t.csv")
    assert StoreResource(restricted=True).location() == str(tmp_path / "here" / "restricted")
    monkeypatch.setenv("ORCH_RESTRICTED_STORE", str(tmp_path / "there"))
    assert StoreResource(restricted=True).location() == str(tmp_path / "there")
    monkeypatch.setenv("ORCH_STORE", "")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert StoreResource().location() == str(tmp_path / "artifacts")


def test_a_format_that_does_not_exist_is_said(monkeypatch):
    monkeypatch.setenv("ORCH_STORE_FORMAT", "xlsx")
    with pytest.raises(SettingError, match="ORCH_STORE_FORMAT is 'xlsx'"):
        _ = StoreResource().store


def test_the_same_table_is_the_same_version(tmp_path):
    for _ in range(2):
        materialize(tmp_path, source)
    store = LocalPipelineStore(tmp_path)
    assert len(store.versions("source")) == 1
    assert len(store.manifest("source").publications) == 2


def test_a_mapping_of_no_tables_is_a_set_of_none(tmp_path):
    """A study without withheld variables has no withheld form tables, and another day may have."""
    seen = {}

    @dg.asset
    def form_tables() -> dict:
        return {}

    @dg.asset
    def taker(form_tables: dict) -> None:
        seen["tables"] = form_tables

    assert materialize(tmp_path, form_tables, taker).success
    assert seen == {"tables": {}}
    store = LocalPipelineStore(tmp_path)
    assert store.list_artifacts(kind=ArtifactKind.SET) == ["form_tables"]
