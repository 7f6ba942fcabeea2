"""A code location that stores a table of a study, and one of no study."""

from typing import Any

import dagster as dg
import pyarrow as pa

from orch_assets import study_pipeline
from orch_assets.defs.graph import build_study_graph
from orch_assets.defs.resources import RegistryResource
from orch_assets.defs.study_resources import study_resources
from orch_assets.orchestration.pipeline import pipeline_of


@study_pipeline
def table(study_key: str, sdk: Any, study_logger: Any) -> pa.Table:
    """Return one row."""
    return pa.table({"study_key": [study_key]})


@dg.asset
def ordinary() -> pa.Table:
    """Return one row."""
    return pa.table({"row": [1]})


_pipeline = pipeline_of(table)
assert _pipeline is not None

defs = dg.Definitions(
    assets=[build_study_graph([_pipeline]), ordinary],
    jobs=[
        dg.define_asset_job("studies", selection="table"),
        dg.define_asset_job("plain", selection="ordinary"),
    ],
    resources=study_resources(
        registry=RegistryResource(kind="demo", demo_studies=1, demo_subjects=1)
    ),
    executor=dg.in_process_executor,
)
