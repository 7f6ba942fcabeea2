"""The shipped pipelines over one study of the simulator: taken through lanes as a run does it."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import dagster as dg
from dagster._core.log_manager import DagsterLogManager

from orch_assets import ImednetSDK, pipelines
from orch_assets.defs.discovery import discover_pipelines
from orch_assets.defs.io.io_manager import StudyIOManager
from orch_assets.defs.pipeline_runner import PipelineRunner
from orch_assets.defs.resources import StoreResource
from orch_assets.defs.runs.lane_steps import lane_step
from orch_assets.defs.runs.reading_options import ReadingOptions
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.imednet import RequestLimiter
from orch_assets.orchestration.lanes import Lanes
from orch_assets.orchestration.ordering import in_dependency_order
from orch_assets.orchestration.steps import StepResult
from orch_assets.stores import PipelineStore, open_store
from orch_assets_tests.support.stored_tables import Tables, stored_tables

# They also depend on the day on which they are made, or on what was stored before.
_OF_THEIR_TIME: Final = {
    "study_summary",
    "study_charts",
    "record_changes",
    "tombstones",
    "dictionary_changes",
}
PIPELINES: Final = {
    each.name: each
    for each in in_dependency_order(
        each
        for each in discover_pipelines(pipelines)
        if not each.on_request and each.name not in _OF_THEIR_TIME
    )
}
PAGE_SIZE: Final = 20
STORES: Final = ("artifacts", "restricted")


class Study:
    """One study, its stores, and runs between them.

    Args:
        server: The simulator, or what has its address and its keys.
        location: Folder or URI below which the stores are.
        resources: The IO managers of these stores.
        key: The study.
    """

    def __init__(self, server: DemoServer, location: str, resources: Any, key: str) -> None:
        self.server = server
        self.location = location
        self.key = key
        self._resources = resources
        self._runs = itertools.count(1)

    @property
    def registry(self) -> DemoRegistry:
        return self.server.registry

    def run(
        self, *names: str, full: bool = False, retries: int | None = None, **options: Any
    ) -> dict[str, StepResult]:
        """Run pipelines, by default all; return how each ended.

        Args:
            names: Names of pipelines, in dependency order.
            full: Whether everything is read again.
            retries: How often a pipeline is tried again; None for as often as in a run.
            options: Of the SDK.
        """
        sdk = self._sdk(**options)
        runner = PipelineRunner(
            run_id=f"run-{next(self._runs)}",
            registry="127.0.0.1",
            sdk=sdk,
            pipelines=PIPELINES,
            keys={name: dg.AssetKey(name) for name in PIPELINES},
            resources=self._resources,
            log=DagsterLogManager.create([]),
            reading=ReadingOptions(read_whole=full),
        )
        steps = [lane_step(PIPELINES[name], made_up=False) for name in names or PIPELINES]
        with sdk:
            lanes = Lanes(runner, 1, backoff=lambda _: 0.0)
            return {result.step: result for result in lanes.run({self.key: steps})}

    def succeed(self, *names: str, **options: Any) -> Mapping[str, Mapping[str, Any]]:
        """Run pipelines without a failure; return the metadata of each result."""
        results = self.run(*names, **options)
        failures = [result.failure for result in results.values() if result.failure]
        assert failures == [], [failure.loggable for failure in failures]
        return {name: told(result) for name, result in results.items()}

    def store(self, name: str) -> PipelineStore:
        return open_store(f"{self.location}/{name}")

    def stored(self, names: Sequence[str] = ()) -> Tables:
        """Return the tables of pipelines, by default of all, by store, asset and member."""
        stores = {name: self.store(name) for name in STORES}
        return stored_tables(stores, names or PIPELINES, self.key)

    def assert_whole(self, folder: Any, *names: str) -> None:
        """All stored tables are what a whole reading of the account gives."""
        with study(self.server, str(folder)) as anew:
            anew.succeed(*names)
            expected = anew.stored(names)
        found = self.stored(names)
        assert found.keys() == expected.keys()
        assert [key for key, table in expected.items() if not found[key].equals(table)] == []

    def _sdk(self, **options: Any) -> ImednetSDK:
        settings = {
            "base_url": self.server.base_url,
            "page_size": PAGE_SIZE,
            "timeout": 20,
            "attempts": 3,
            "sleep": lambda _: None,
            "limiter": RequestLimiter(8),
            "registry_name": "simulator",
            **options,
        }
        return ImednetSDK(self.server.api_key, self.server.security_key, **settings)


def told(result: StepResult) -> Mapping[str, Any]:
    """Return the metadata of a result."""
    assert result.output is not None
    return {name: entry.value for name, entry in result.output.metadata.items()}


@contextmanager
def study(server: DemoServer, location: str, key: str | None = None) -> Iterator[Study]:
    """Give a study of a server, by default its only one, with stores below a location."""
    if key is None:
        (key,) = server.registry.study_keys()
    restricted = StoreResource(uri=f"{location}/restricted", restricted=True)
    given = {
        "io_manager": StudyIOManager(store=StoreResource(uri=f"{location}/artifacts")),
        "restricted_io_manager": StudyIOManager(store=restricted),
        "restricted_store": restricted,
    }
    with ExitStack() as stack:
        resources = stack.enter_context(dg.build_resources(given))
        yield Study(server, location, resources, key)
