"""Runs of plain Dagster assets over five studies, without any code of ours."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from orch_assets_tests.defs.instances import temporary_instance

STUDIES = ["s0", "s1", "s2", "s3", "s4"]
BAD = {"s1", "s3"}
NAME = "plain_studies"
studies = dg.DynamicPartitionsDefinition(name=NAME)


@contextmanager
def instance(keys: Sequence[str] = STUDIES) -> Iterator[dg.DagsterInstance]:
    """Give a real instance, SQLite in a temporary folder, that knows the studies."""
    with temporary_instance() as real:
        real.add_dynamic_partitions(NAME, list(keys))
        yield real


def range_tags(first: str, last: str) -> dict[str, str]:
    return {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last,
    }


def job_of(assets: Sequence[Any]) -> dg.JobDefinition:
    job = dg.define_asset_job("plain", selection="*")
    defs = dg.Definitions(assets=assets, jobs=[job], executor=dg.in_process_executor)
    return defs.resolve_job_def("plain")


def run(
    real: dg.DagsterInstance,
    *assets: Any,
    first: str = STUDIES[0],
    last: str = STUDIES[-1],
    run_id: str | None = None,
) -> dg.DagsterRun:
    """Run assets over a range of studies; return the ended run."""
    result = job_of(assets).execute_in_process(
        instance=real, tags=range_tags(first, last), raise_on_error=False, run_id=run_id
    )
    return ended(real, result.run_id)


def rerun(real: dg.DagsterInstance, parent: dg.DagsterRun, *assets: Any) -> dg.DagsterRun:
    """Resume a run with the tags that Dagster gives a re-execution from failure."""
    job = job_of(assets)
    again = real.create_run_for_job(
        job,
        tags={**parent.tags, "dagster/is_resume_retry": "true"},
        parent_run_id=parent.run_id,
        root_run_id=parent.run_id,
    )
    execute_run(InMemoryJob(job), again, real, raise_on_error=False)
    return ended(real, again.run_id)


def ended(real: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    found = real.get_run_by_id(run_id)
    assert found is not None
    return found


def states(real: dg.DagsterInstance, asset: str) -> str:
    """Return a letter for each live study in partition order: M, F, P (in progress) or ``-``."""
    keys = real.get_dynamic_partitions(NAME)
    found = real.get_status_by_partition(dg.AssetKey(asset), keys, studies) or {}
    letters = {"MATERIALIZED": "M", "FAILED": "F", "IN_PROGRESS": "P"}
    return "".join(letters[status.value] if status else "-" for status in found.values())


def materialization(study: str, asset: str = "raw", **more: Any) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(dg.AssetKey(asset), partition=study, **more)


def spec(name: str = "raw", *deps: str) -> dg.AssetSpec:
    return dg.AssetSpec(name, deps=list(deps), partitions_def=studies, skippable=True)


def chain(*specs: dg.AssetSpec, **more: Any) -> Any:
    """Mark a generator as the body of several assets that go through one step, one run for all."""
    policy = dg.BackfillPolicy.single_run()
    return dg.multi_asset(specs=specs, can_subset=True, backfill_policy=policy, **more)


def logged(*good: str, fail: bool = True, asset: str = "raw") -> dg.AssetsDefinition:
    """Return an asset by our pattern: it logs these studies, then raises once at the end."""

    @chain(spec(asset))
    def graph(context: dg.AssetExecutionContext) -> Iterator[Any]:
        for study in good:
            context.log_event(materialization(study, asset))
        if fail:
            raise dg.Failure("some studies failed", allow_retries=False)
        yield from ()

    return graph


def in_a_process(script: str, home: str) -> int:
    """Run a script in a process of its own on an instance; return its exit code."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        env={"DAGSTER_HOME": home, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        timeout=120,
        check=False,
    )
    return done.returncode
