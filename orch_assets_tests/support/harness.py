"""A code location over any pipelines, a real instance, and what the instance knows afterwards."""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from orch_assets import ImednetSDK
from orch_assets.defs.graph import build_study_graph
from orch_assets.defs.partitions import STUDIES_NAME, range_tags, studies
from orch_assets.defs.resources import RegistryResource, StoreResource, _demo_server
from orch_assets.defs.runs.reading_options import FULL_TAG, OTHER_REGISTRY_TAG
from orch_assets.defs.settings.run_settings import SettingSources
from orch_assets.defs.study_resources import study_resources
from orch_assets.orchestration.pipeline import pipeline_of
from orch_assets_tests.defs.instances import temporary_instance


def definitions(
    folder: Path,
    *functions: Callable[..., Any],
    backfill_policy: dg.BackfillPolicy | None = None,
    settings: SettingSources | None = None,
    **resources: Any,
) -> dg.Definitions:
    """Return a code location of one graph of these pipelines, its stores below a folder."""
    pipelines = [pipeline for f in functions if (pipeline := pipeline_of(f)) is not None]
    assert len(pipelines) == len(functions)
    store = StoreResource(uri=str(folder / "artifacts"))
    restricted = StoreResource(uri=str(folder / "restricted"), restricted=True)
    registry = RegistryResource(kind="demo", demo_studies=2, demo_subjects=3)
    return dg.Definitions(
        assets=[build_study_graph(pipelines, backfill_policy=backfill_policy, settings=settings)],
        jobs=[dg.define_asset_job("everything", selection="*")],
        resources=study_resources(store, restricted, **{"registry": registry, **resources}),
        executor=dg.in_process_executor,
    )


class Account(RegistryResource):
    """The simulator as if it were a real account: nothing says that its data is made up."""

    kind: str | None = "imednet"

    def _connect(self) -> ImednetSDK:
        server = _demo_server(2, 3, 7)
        return ImednetSDK(server.api_key, server.security_key, server.base_url)


@contextmanager
def instance(*study_keys: str) -> Iterator[dg.DagsterInstance]:
    """Give a real instance, SQLite in a temporary folder, that knows these studies."""
    with temporary_instance() as real:
        real.add_dynamic_partitions(STUDIES_NAME, list(study_keys))
        yield real


def execute(
    defs: dg.Definitions,
    real: dg.DagsterInstance,
    first: str,
    last: str | None = None,
    *,
    select: Sequence[str] | None = None,
    job: str = "everything",
    full: bool = False,
    other_registry: bool = False,
) -> dg.DagsterRun:
    """Run the graph over a range of studies, or over one; return the ended run."""
    tags = range_tags(first, last) if last else {"dagster/partition": first}
    if full:
        tags = {**tags, FULL_TAG: "true"}
    if other_registry:
        tags = {**tags, OTHER_REGISTRY_TAG: "true"}
    result = defs.resolve_job_def(job).execute_in_process(
        instance=real,
        tags=tags,
        raise_on_error=False,
        asset_selection=[dg.AssetKey(name) for name in select] if select else None,
    )
    return ended(real, result.run_id)


def resume(defs: dg.Definitions, real: dg.DagsterInstance, parent: dg.DagsterRun) -> dg.DagsterRun:
    """Re-execute a run "from failure", tagged as Dagster tags it; return the ended run."""
    run = queued_resume(defs, real, parent)
    execute_run(InMemoryJob(defs.resolve_job_def("everything")), run, real, raise_on_error=False)
    return ended(real, run.run_id)


def queued_resume(
    defs: dg.Definitions, real: dg.DagsterInstance, parent: dg.DagsterRun
) -> dg.DagsterRun:
    """Return a run that re-executes a run "from failure" and hasn't begun."""
    return real.create_run_for_job(
        defs.resolve_job_def("everything"),
        tags={**parent.tags, "dagster/is_resume_retry": "true"},
        parent_run_id=parent.run_id,
        root_run_id=parent.root_run_id or parent.run_id,
    )


def evaluate(
    defs: dg.Definitions, real: dg.DagsterInstance, cursor: Any, now: datetime
) -> "dg.EvaluateAutomationConditionsResult":
    """Evaluate the automation conditions, as one tick of the daemon does.

    The daemon reads the studies once in a tick; Dagster's tester, a hundred times.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(real, "get_dynamic_partitions", functools.cache(real.get_dynamic_partitions))
        return dg.evaluate_automation_conditions(defs, real, cursor=cursor, evaluation_time=now)


def ended(real: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    """Return a run as the instance knows it now."""
    run = real.get_run_by_id(run_id)
    assert run is not None
    return run


def states(real: dg.DagsterInstance, asset: str) -> dict[str, str | None]:
    """Return each study's partition status of an asset, as Dagster derives it."""
    keys = real.get_dynamic_partitions(STUDIES_NAME)
    found = real.get_status_by_partition(dg.AssetKey(asset), keys, studies) or {}
    return {key: status.value if status else None for key, status in found.items()}


def in_state(real: dg.DagsterInstance, asset: str, state: str | None) -> list[str]:
    """Return the studies whose partition of an asset is in a state."""
    return [key for key, found in states(real, asset).items() if found == state]


def observations(real: dg.DagsterInstance, asset: str) -> dict[str, dict[str, Any]]:
    """Return the newest failure of each study: its metadata by study."""
    records = real.fetch_observations(dg.AssetKey(asset), limit=5000, ascending=True).records
    return {
        event.partition: _values(event)
        for record in records
        if (event := record.event_log_entry.asset_observation) is not None
    }


def materializations(real: dg.DagsterInstance, asset: str) -> dict[str, list[dict[str, Any]]]:
    """Return the metadata of all materializations of each study, oldest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    records = real.fetch_materializations(dg.AssetKey(asset), limit=5000, ascending=True).records
    for record in records:
        event = record.asset_materialization
        found.setdefault(event.partition, []).append(
            {**_values(event), "run": record.run_id, "tags": dict(event.tags or {})}
        )
    return found


def failure_text(real: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Return the description of the failure that ended a run."""
    logs = real.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    data = logs[0].dagster_event.step_failure_data
    return data.user_failure_data.description if data.user_failure_data else data.error.to_string()


def everything_logged(real: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Return all that a run put into the event log, as text."""
    return "\n".join(dg.serialize_value(entry) for entry in real.all_logs(run.run_id))


def _values(event: Any) -> dict[str, Any]:
    return {name: value.value for name, value in event.metadata.items()}
