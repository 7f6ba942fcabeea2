"""Manifests of what IO managers keep: who made it, and the versions that it was made from."""

import gc

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest

from orch_assets.defs.io import step_inputs
from orch_assets.defs.io.io_manager import LocalPipelineIOManager
from orch_assets.defs.partitions import studies
from orch_assets.stores import LocalPipelineStore, noting_inputs
from orch_assets_tests.defs.instances import temporary_instance

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def store(tmp_path) -> LocalPipelineStore:
    return LocalPipelineStore(tmp_path)


@pytest.fixture
def run(tmp_path):
    def materialized(*assets, **options):
        options.setdefault("resources", {"io_manager": LocalPipelineIOManager(root=str(tmp_path))})
        done = dg.materialize([*assets], run_config=QUIET, **options)
        assert done.success
        return done

    return materialized


def inputs(store, name: str) -> dict[str, str]:
    return dict(store.manifest(name).publications[-1].inputs)


def current(store, *names: str) -> dict[str, str]:
    with noting_inputs() as notes:
        for name in names:
            store.download(name)
    return notes


@dg.asset
def first() -> pd.DataFrame:
    return pd.DataFrame({"n": [1]})


@dg.asset
def second() -> pd.DataFrame:
    return pd.DataFrame({"n": [2]})


@dg.asset(code_version="7")
def both(first: pd.DataFrame, second: pa.Table) -> pd.DataFrame:
    return first


@dg.asset
def alone() -> pd.DataFrame:
    return pd.DataFrame({"n": [3]})


def test_a_manifest_names_what_the_asset_has_loaded(run, store):
    run(first, second, both, alone)
    assert inputs(store, "both") == current(store, "first", "second")
    assert inputs(store, "first") == inputs(store, "alone") == {}


def test_a_manifest_names_the_run_the_asset_and_its_code(run, store):
    done = run(first, second, both)
    (publication,) = store.manifest("both").publications
    assert publication.provenance == {
        "run": done.run_id,
        "step": "both",
        "asset": "both",
        "code_version": "7",
    }


def test_retention_keeps_what_an_asset_was_made_from(run, store):
    """A version of the input that is neither current nor among the last."""
    run(first, second, both)
    old = store.manifest("first").content.sha256
    for size in (2, 3):
        store.upload(pd.DataFrame({"n": range(size)}), "first")
    (removed,) = store.retain(keep_last=1)
    assert old not in removed
    assert len(store.download("first", version=old)) == 1


def test_a_step_of_another_run_names_what_it_has_loaded_itself(run, store):
    run(first, second, both)
    before = inputs(store, "both")
    store.upload(pd.DataFrame({"n": [9]}), "first")
    run(first, second, both, selection=[both])
    assert inputs(store, "both") == current(store, "first", "second") != before


def test_every_output_of_a_step_names_its_inputs(run, store):
    @dg.multi_asset(outs={"left": dg.AssetOut(), "right": dg.AssetOut()})
    def halves(first: pd.DataFrame):
        yield dg.Output(first, "left")
        yield dg.Output(first, "right")

    run(first, halves)
    assert inputs(store, "left") == inputs(store, "right") == current(store, "first")


def test_what_is_read_batch_by_batch_is_named(run, store, tmp_path):
    @dg.asset(partitions_def=studies)
    def rows(context: dg.AssetExecutionContext) -> pd.DataFrame:
        return pd.DataFrame({"study": [context.partition_key]})

    @dg.asset
    def together(rows: pa.RecordBatchReader) -> pa.Table:
        return rows.read_all()

    @dg.asset
    def passed_on(rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
        return rows

    with temporary_instance() as instance:
        instance.add_dynamic_partitions("studies", ["S-1", "S-2"])
        for key in ("S-1", "S-2"):
            run(rows, instance=instance, partition_key=key)
        both = [together, passed_on]
        run(rows, *both, instance=instance, selection=both)
    of_both = current(store, "rows/S-1", "rows/S-2")
    assert inputs(store, "together") == inputs(store, "passed_on") == of_both
    publication = store.manifest("rows/S-1").publications[0]
    assert publication.provenance["partition"] == "S-1"


def test_an_input_may_come_through_another_io_manager(run, store, tmp_path):
    other = LocalPipelineStore(tmp_path / "other")

    @dg.asset(io_manager_key="elsewhere")
    def source() -> pd.DataFrame:
        return pd.DataFrame({"n": [1]})

    @dg.asset
    def result(source: pd.DataFrame) -> pd.DataFrame:
        return source

    resources = {
        "io_manager": LocalPipelineIOManager(root=str(tmp_path)),
        "elsewhere": LocalPipelineIOManager(root=str(tmp_path / "other")),
    }
    run(source, result, resources=resources)
    assert inputs(store, "result") == current(other, "source")


def test_what_ops_hand_to_each_other_is_kept_and_named(run, store):
    @dg.op
    def doubled(table):
        return pd.concat([table, table])

    @dg.op
    def renamed(table):
        return table.rename(columns={"n": "m"})

    @dg.graph_asset
    def graph(first):
        return renamed(doubled(first))

    done = run(first, graph)
    (between,) = store.list_artifacts("~ops")
    assert between.startswith("~ops/")
    assert inputs(store, "graph") == current(store, between)
    assert inputs(store, between) == current(store, "first")
    assert list(store.download("graph").columns) == ["m"]
    assert store.manifest("graph").publications[0].provenance["run"] == done.run_id


def test_steps_that_are_over_are_forgotten(run):
    """All but the last one: Dagster itself holds it."""
    for _ in range(3):
        run(first, second, both)
    gc.collect()
    assert len(step_inputs._versions_read) <= 1
