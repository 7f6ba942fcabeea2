"""One Dagster run of assets of the code location, with its CPU and memory."""

import resource
import tempfile
from typing import Any

from benchmarks.measuring import begin_peak, peak_mb
from benchmarks.prepared_registry import KEYS

_begun: list[tuple[resource.struct_rusage, float]] = []


def begin() -> None:
    """Count CPU and memory from now on."""
    _begun[:] = [(resource.getrusage(resource.RUSAGE_SELF), begin_peak())]


def cpu_seconds() -> float:
    """Return the CPU seconds of this process since it began to count."""
    ((before, _),) = _begun
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def added_mb() -> float:
    """Return by how much this process's largest memory has grown since it began to count."""
    ((_, memory),) = _begun
    return peak_mb() - memory


def materialize(url: str, studies: list[str], select: list[str]) -> tuple[int, float]:
    """Materialize assets of the code location; its start is not counted.

    Returns:
        The number of records, and the seconds from the first study's start to the last commit.
    """
    import dagster as dg

    from orch_assets import pipelines
    from orch_assets.defs.discovery import discover_pipelines
    from orch_assets.defs.graph import build_study_graph
    from orch_assets.defs.partitions import STUDIES_NAME, range_tags
    from orch_assets.defs.resources import OrchestrationResource, RegistryResource, StoreResource
    from orch_assets.defs.study_resources import study_resources

    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:
        instance.add_dynamic_partitions(STUDIES_NAME, studies)
        graph = build_study_graph(discover_pipelines(pipelines))
        defs = dg.Definitions(
            assets=[graph],
            jobs=[
                dg.define_asset_job("before", selection=["variables"]),
                dg.define_asset_job("timed", selection=select),
            ],
            resources=study_resources(
                StoreResource(uri=f"{folder}/a"),
                StoreResource(uri=f"{folder}/r", restricted=True),
                registry=RegistryResource(kind="imednet", base_url=url, **KEYS),
                orchestration=OrchestrationResource(max_workers=len(studies)),
            ),
            executor=dg.in_process_executor,
        )
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        for job in ("before", "timed"):
            begin()
            defs.resolve_job_def(job).execute_in_process(
                instance=instance, tags=range_tags(studies[0], studies[-1]), run_config=quiet
            )
        return _records_of(instance, studies), _work_seconds(instance, f"{folder}/a", studies)


def _work_seconds(instance: Any, folder: str, studies: list[str]) -> float:
    """Return the seconds from the start of the first study to the last publication."""
    from datetime import datetime

    from orch_assets import LocalPipelineStore

    store = LocalPipelineStore(folder)
    times = []
    for event in _materializations(instance, studies):
        manifest = store.manifest(f"records/{event.partition}")
        published = datetime.fromisoformat(manifest.publications[-1].published_at).timestamp()
        times.append((published, event.metadata["duration_seconds"].value))
    return max(end for end, _ in times) - min(end - seconds for end, seconds in times)


def _records_of(instance: Any, studies: list[str]) -> int:
    # Releases up to 0.2.0, with which `earlier` compares, have "rows" instead.
    metadata = [event.metadata for event in _materializations(instance, studies)]
    return sum(each.get("dagster/row_count", each.get("rows")).value for each in metadata)


def _materializations(instance: Any, studies: list[str]) -> list[Any]:
    import dagster as dg

    records = instance.fetch_materializations(dg.AssetKey("records"), limit=len(studies)).records
    return [record.asset_materialization for record in records]
