"""Whole runs of the shipped tables over a registry that a test spoils."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from orch_assets import ImednetSDK
from orch_assets.defs.resources import OrchestrationResource, RegistryResource
from orch_assets.demo import DemoServer
from orch_assets.imednet import RequestLimiter
from orch_assets.pipelines.records import records
from orch_assets.pipelines.sites import sites
from orch_assets.pipelines.subjects import subjects
from orch_assets.pipelines.variables import variables
from orch_assets_tests.support.harness import definitions, execute

PIPELINES: tuple[Callable[..., Any], ...] = (sites, subjects, variables, records)


class SmallPages(RegistryResource):
    """A registry that is read in small pages, and not waited for between two tries."""

    page_size: int = 20
    attempts: int = 2
    window: int | None = None

    def _connect(self) -> ImednetSDK:
        return ImednetSDK(
            self.api_key,
            self.security_key,
            self.base_url,
            self.timeout,
            limiter=RequestLimiter(8),
            page_size=self.page_size,
            attempts=self.attempts,
            window=self.window,
            sleep=lambda _: None,
        )


def small_pages(server: DemoServer, base_url: str | None = None, **fields: Any) -> SmallPages:
    """Return the resource for a server, or for what is in front of it."""
    return SmallPages(
        kind="imednet",
        api_key=server.api_key,
        security_key=server.security_key,
        base_url=base_url or server.base_url,
        **fields,
    )


def location(folder: Path, registry: RegistryResource, *functions: Any) -> dg.Definitions:
    """Return a code location of shipped tables, two studies at once."""
    return definitions(
        folder,
        *(functions or PIPELINES),
        registry=registry,
        orchestration=OrchestrationResource(max_workers=2),
    )


def run_all(
    defs: dg.Definitions, real: dg.DagsterInstance, studies: list[str], **options: Any
) -> dg.DagsterRun:
    """Run the location over all of the studies."""
    return execute(defs, real, studies[0], studies[-1], **options)


def evaluations(
    real: dg.DagsterInstance, asset: str
) -> dict[str | None, list[dg.AssetCheckEvaluation]]:
    """Return the evaluations of a table's check, by study, oldest first."""
    key = dg.AssetCheckKey(dg.AssetKey(asset), "reconciled")
    found: dict[str | None, list[dg.AssetCheckEvaluation]] = {}
    history = real.event_log_storage.get_asset_check_execution_history(key, limit=1000)
    for record in reversed(history):
        event = record.event and record.event.dagster_event
        if event and event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            found.setdefault(evaluation.partition, []).append(evaluation)
    return found
