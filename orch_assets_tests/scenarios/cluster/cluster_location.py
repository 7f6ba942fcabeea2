"""A code location of three pipelines, whose studies wait while a test holds them."""

import os
import time
import uuid
from pathlib import Path
from typing import Any

import pandas as pd

from orch_assets import build_definitions, study_pipeline

PIPELINES = ("first", "second", "third")


def _called(pipeline: str, study_key: str) -> None:
    """Leave a file for each call; wait while the test holds the study."""
    folder = Path(os.environ["CALLS_FOLDER"])
    (folder / f"{pipeline}|{study_key}|{uuid.uuid4()}").touch()
    while (folder / f"hold|{pipeline}|{study_key}").exists():
        time.sleep(0.1)


@study_pipeline
def first(study_key: str, sdk: Any, study_logger: Any) -> pd.DataFrame:
    """Count to three."""
    _called("first", study_key)
    return pd.DataFrame({"n": [1, 2, 3], "call": str(uuid.uuid4())})


@study_pipeline
def second(study_key: str, sdk: Any, study_logger: Any, first: pd.DataFrame) -> pd.DataFrame:
    """Double the first table."""
    _called("second", study_key)
    if (Path(os.environ["CALLS_FOLDER"]) / f"large|{study_key}").exists():
        first = pd.DataFrame(
            {"n": range(100_000), "call": [uuid.uuid4().hex for _ in range(100_000)]}
        )
    return first.assign(n=first["n"] * 2)


@study_pipeline
def third(study_key: str, sdk: Any, study_logger: Any, second: pd.DataFrame) -> pd.DataFrame:
    """Sum the second table."""
    _called("third", study_key)
    return second.assign(sum=second["n"].sum())


defs = build_definitions([first, second, third], shipped=())
