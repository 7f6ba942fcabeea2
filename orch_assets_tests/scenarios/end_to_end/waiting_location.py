"""A code location whose study SLOW waits for a file, for runs that end before their time."""

import os
import time
import uuid
from pathlib import Path
from typing import Any

import dagster as dg

from orch_assets import study_pipeline
from orch_assets.defs.graph import build_study_graph
from orch_assets.defs.resources import RegistryResource
from orch_assets.defs.study_resources import study_resources
from orch_assets.orchestration.pipeline import pipeline_of


@study_pipeline
def waiting(study_key: str, sdk: Any, study_logger: Any) -> dict[str, int]:
    """Leave a file for each call."""
    folder = Path(os.environ["WAITING_FOLDER"])
    (folder / f"{study_key}.{uuid.uuid4()}").touch()
    while study_key == "SLOW" and not (folder / "go").exists():
        time.sleep(0.1)
    return {"done": 1}


_found = [pipeline for pipeline in [pipeline_of(waiting)] if pipeline is not None]

defs = dg.Definitions(
    assets=[build_study_graph(_found)],
    jobs=[dg.define_asset_job("everything", selection="*")],
    resources=study_resources(
        registry=RegistryResource(kind="demo", demo_studies=1, demo_subjects=1)
    ),
    executor=dg.in_process_executor,
)
