"""Runs every way to fail, a run for each pipeline, and logs as JSON; a process of its own."""

import logging
import os
from pathlib import Path

import dagster as dg

from orch_assets import JsonLogFormatter
from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets_tests.scenarios.ways_to_fail.location import PIPELINES, defs
from orch_assets_tests.scenarios.ways_to_fail.ways import WAYS
from orch_assets_tests.support.harness import execute
from orch_assets_tests.support.machines import deploy


def _log_as_json() -> None:
    handler = logging.FileHandler(Path(os.environ["DAGSTER_HOME"], "log.jsonl"))
    handler.setFormatter(JsonLogFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


if __name__ == "__main__":
    _log_as_json()
    with dg.DagsterInstance.get() as real:
        deploy(defs, real, "machine")
        for pipeline in PIPELINES:
            studies = [way.name for way in WAYS.values() if way.by == pipeline.name]
            real.add_dynamic_partitions(STUDIES_NAME, studies)
            execute(defs, real, studies[0], studies[-1], select=[pipeline.name])
