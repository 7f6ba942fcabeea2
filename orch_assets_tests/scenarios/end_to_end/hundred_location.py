"""A code location whose leaf pipeline fails in seven ways, by a plan in a file.

``HUNDRED_FOLDER`` holds ``plan.json`` (how which study fails) and ``calls.txt`` (a line for each
call of the leaf), so that the plan can change between two runs of other processes.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow.parquet  # noqa: F401 - what the first studies would import is no work of theirs

from orch_assets import study_pipeline
from orch_assets.defs.graph import build_study_graph
from orch_assets.defs.study_resources import study_resources
from orch_assets.orchestration.pipeline import pipeline_of

PLANTED = "Plantedname"
TIMEOUT_SECONDS = 10.0


def folder() -> Path:
    """Return where the plan is and the calls are noted."""
    return Path(os.environ["HUNDRED_FOLDER"])


@study_pipeline
def base(study_key: str, sdk: Any, study_logger: Any) -> dict[str, int]:
    """A first pipeline that never fails."""
    return {"ready": 1}


@study_pipeline(timeout=TIMEOUT_SECONDS)
def leaf(study_key: str, sdk: Any, study_logger: Any, base: dict[str, int]) -> Any:
    """Reads the registry and fails as planned."""
    with (folder() / "calls.txt").open("a") as calls:
        calls.write(f"{study_key}\n")
    study_logger.info("at work")
    sites = sdk.sites.table(study_key)
    plan = json.loads((folder() / "plan.json").read_text())
    unstorable = _fail(plan.get(study_key))
    return sites if unstorable is None else unstorable


def _fail(how: str | None) -> Any:
    if how == "exception":
        raise ArithmeticError
    if how == "exit":
        raise SystemExit(f"subject 001-007 {PLANTED}")
    if how == "timeout":
        time.sleep(10 * TIMEOUT_SECONDS)
    if how == "data in its text":
        try:
            {}[PLANTED]
        except KeyError as error:
            raise ValueError(f"could not convert '{PLANTED}' to float") from error
    if how == "frame":
        return pd.DataFrame({"result": [1, PLANTED]})
    return None  # "forbidden" fails at the registry, "store" when it is stored


_graph = build_study_graph([p for f in (base, leaf) if (p := pipeline_of(f)) is not None])

defs = dg.Definitions(
    assets=[_graph],
    jobs=[dg.define_asset_job("everything", selection="*")],
    resources=study_resources(),
    executor=dg.in_process_executor,
)
