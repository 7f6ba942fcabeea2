"""A code location of an account whose pipelines leave exceptions where they can't catch them."""

import gc
from typing import Any

import dagster as dg

from orch_assets import study_pipeline
from orch_assets.defs.graph import build_study_graph
from orch_assets.defs.study_resources import study_resources
from orch_assets.orchestration.pipeline import pipeline_of
from orch_assets_tests.orchestration.strays import ASYNC_STRAYS, STRAYS, Handle, fail
from orch_assets_tests.support.harness import Account


def _plain(stray: Any) -> Any:
    def pipeline(study_key: str, sdk: Any, study_logger: Any) -> Any:
        stray()
        return [{"rows": 1}]

    pipeline.__name__ = stray.__name__
    return study_pipeline(pipeline)


def _async(stray: Any) -> Any:
    async def pipeline(study_key: str, sdk: Any, study_logger: Any) -> Any:
        await stray()
        return [{"rows": 1}]

    pipeline.__name__ = stray.__name__
    return study_pipeline(pipeline)


@study_pipeline
def behind(study_key: str, sdk: Any, study_logger: Any, thread: Any) -> int:
    """Take what a pipeline would have stored without its thread."""
    return len(thread)


@study_pipeline
def both(study_key: str, sdk: Any, study_logger: Any) -> int:
    """Fail in a finalizer, and then itself."""
    Handle()
    return fail()


@study_pipeline
def collected(study_key: str, sdk: Any, study_logger: Any) -> int:
    """Leave something to the garbage collector."""
    handle: Any = Handle()
    handle.itself = handle
    del handle
    return gc.collect()


FUNCTIONS = [*map(_plain, STRAYS), *map(_async, ASYNC_STRAYS), behind, both, collected]
_found = [pipeline for pipeline in map(pipeline_of, FUNCTIONS) if pipeline is not None]

defs = dg.Definitions(
    assets=[build_study_graph(_found)],
    jobs=[dg.define_asset_job("everything", selection="*")],
    resources=study_resources(registry=Account()),
    executor=dg.in_process_executor,
)
