"""Inputs of study pipelines."""

import pandas as pd

from orch_assets import study_pipeline
from orch_assets.stores import LocalPipelineStore
from orch_assets_tests.support.harness import definitions, execute, instance


@study_pipeline()
def first(study_key, sdk, study_logger):
    return pd.DataFrame({"n": [1]})


@study_pipeline()
def second(study_key, sdk, study_logger, first):
    return first


@study_pipeline()
async def third(study_key, sdk, study_logger, first, second):
    return {"a": first, "b": second}


def test_inputs(tmp_path):
    with instance("S-1") as real:
        defs = definitions(tmp_path, first, second, third)
        assert execute(defs, real, "S-1").is_success
        store = LocalPipelineStore(tmp_path / "artifacts")

        def uri(name):
            return (tmp_path / "artifacts" / name).as_uri()

        v1 = store.manifest("first/S-1").content.sha256
        v2 = store.manifest("second/S-1").content.sha256
        assert store.manifest("second/S-1").publications[-1].inputs == {
            uri("first/S-1.parquet"): v1
        }
        assert store.manifest("third/S-1", kind="set").publications[-1].inputs == {
            uri("first/S-1.parquet"): v1,
            uri("second/S-1.parquet"): v2,
        }
        assert execute(defs, real, "S-1", select=["third"]).is_success
        assert store.manifest("third/S-1", kind="set").publications[-1].inputs == {
            uri("first/S-1.parquet"): v1,
            uri("second/S-1.parquet"): v2,
        }
        assert len(store.manifest("third/S-1", kind="set").publications) == 2
