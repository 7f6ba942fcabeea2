"""Two shipped tables of a small study, read by the lanes of a run, and what the stores hold."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import dagster as dg

from orch_assets import ImednetSDK, LocalPipelineStore
from orch_assets.defs.io.io_manager import StudyIOManager
from orch_assets.defs.pipeline_runner import PipelineRunner
from orch_assets.defs.resources import StoreResource
from orch_assets.defs.runs.lane_steps import lane_step
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.demo.row_tables import Row
from orch_assets.imednet import RequestLimiter
from orch_assets.orchestration.lanes import Lanes
from orch_assets.orchestration.pipeline import pipeline_of
from orch_assets.orchestration.steps import StepResult
from orch_assets.pipelines.records import records
from orch_assets.pipelines.subjects import subjects
from orch_assets.pipelines.variables import variables
from orch_assets_tests.pipelines.rows import expected

STUDY: Final = "ONC-301"
# One unsplit, and one that is split while it arrives.
TABLES: Final = ("subjects", "records")
PAGE_SIZE: Final = 5
_ID: Final = {"subjects": "subjectId", "records": "recordId"}

PIPELINES: Final = {
    each.name: each for f in (subjects, variables, records) if (each := pipeline_of(f)) is not None
}


def small_registry() -> DemoRegistry:
    """Return a study of some pages of subjects and of records, some values withheld."""
    registry = DemoRegistry(studies=1, subjects=14)
    form_keys = ["DM", "AE", "VS"]
    kept = [row for row in registry.rows("records", STUDY) if row["formKey"] in form_keys]
    _keep(registry, "records", kept[:28])
    known = [row for row in registry.rows("variables", STUDY) if row["formKey"] in form_keys]
    _keep(registry, "variables", [{**row, "blinded": n % 3 == 0} for n, row in enumerate(known)])
    return registry


def _keep(registry: DemoRegistry, endpoint: str, rows: Sequence[Row]) -> None:
    registry.table(endpoint, STUDY)._keep(rows)


class Bench:
    """A registry, stores with an earlier version of its tables, and lanes between them.

    Attributes:
        server: the registry over HTTP.
        states: the rows that the registry had, table by table, while the last run read it.
    """

    def __init__(self, server: DemoServer, folder: Path, resources: Any) -> None:
        self.server = server
        self.folder = folder
        self.resources = resources
        self.rows = {name: list(server.registry.rows(name, STUDY)) for name in TABLES}
        self.states: dict[str, list[Sequence[Row]]] = {}
        self._earlier = folder / "earlier"
        self._publish_an_earlier_version()

    def pages(self, name: str) -> int:
        return -(-len(self.rows[name]) // PAGE_SIZE)

    def sdk(self, **options: Any) -> ImednetSDK:
        server = self.server
        settings = {
            "base_url": server.base_url,
            "page_size": PAGE_SIZE,
            "registry_name": "demo",  # proxies have other ports, not other data
            "full_every": 0,  # `scenarios.refresh` tests what a refresh reads
            "timeout": 20,
            "attempts": 3,
            "sleep": lambda _: None,
            "limiter": RequestLimiter(8),
            **options,
        }
        return ImednetSDK(server.api_key, server.security_key, **settings)

    def reset(self) -> None:
        """Put stores and registry back to where every case begins."""
        self.server.faults.clear()
        with self.server.registry._lock:
            self.server.registry._hooks.clear()
        for name in TABLES:
            _keep(self.server.registry, name, self.rows[name])
        self.states = {name: [self.rows[name]] for name in TABLES}
        shutil.rmtree(self.folder / "stores", ignore_errors=True)
        shutil.copytree(self._earlier, self.folder / "stores")

    def move(self, name: str, page: int, *, adding: bool, always: bool) -> None:
        """Shift the rows below a page whenever, or once when, that page was read."""
        registry = self.server.registry

        def change(_: DemoRegistry) -> None:
            first = registry.rows(name, STUDY)[0]
            if adding:
                registry.insert_row(name, STUDY, {**first, _ID[name]: first[_ID[name]] - 1})
            else:
                registry.delete_row(name, STUDY, first[_ID[name]])
            self.states[name].append(list(registry.rows(name, STUDY)))
            if always:
                registry.after_page(name, page, change)

        registry.after_page(name, page, change)

    def row(self, name: str, page: int) -> Row:
        """Return the first row of a page."""
        return self.rows[name][page * PAGE_SIZE]

    def change(self, name: str, page: int, **changes: Any) -> None:
        """Change the first row of a page."""
        registry = self.server.registry
        registry.update_row(name, STUDY, self.row(name, page)[_ID[name]], **changes)
        self.states[name] = [list(registry.rows(name, STUDY))]

    def run(
        self, sdk: ImednetSDK, *names: str, retries: int | None = None
    ) -> dict[str, StepResult]:
        """Take the study through pipelines as a run does; return how each ended."""
        runner = PipelineRunner(
            run_id="a-run",
            registry="127.0.0.1",
            sdk=sdk,
            pipelines=PIPELINES,
            keys={name: dg.AssetKey(name) for name in PIPELINES},
            resources=self.resources,
            log=None,  # type: ignore[arg-type]  # nothing is loaded from a store
        )
        steps = [lane_step(PIPELINES[name], made_up=False) for name in names]
        if retries is not None:
            steps = [replace(step, retries=retries) for step in steps]
        with sdk:
            lanes = Lanes(runner, 1, backoff=lambda _: 0.0)
            return {result.step: result for result in lanes.run({STUDY: steps})}

    def read(self, sdk: ImednetSDK, name: str, *, retries: int | None = None) -> StepResult:
        """Read one of the tables; ``retries`` in place of the run's own."""
        names = ("variables", name) if name == "records" else (name,)
        return self.run(sdk, *names, retries=retries)[name]

    def files(self, name: str) -> dict[str, str]:
        """Return the hash of every file that the stores have of an artifact: versions, too."""
        stores = self.folder / "stores"
        return {
            str(path.relative_to(stores)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in stores.rglob("*")
            if path.is_file() and name in path.parts and "failures" not in path.parts
        }

    def is_whole(self, name: str) -> bool:
        """Whether the stored table is, row by row, what the registry had at one moment."""
        return any(self._holds(name, rows) for rows in self.states[name])

    def _holds(self, name: str, rows: Sequence[Row]) -> bool:
        table = self.store("artifacts").download_table(f"{name}/{STUDY}")
        stored = table.to_pylist()
        if name == "records":
            withheld = self.store("restricted").download_table(f"{name}/{STUDY}").to_pylist()
            _join(stored, {row["record_id"]: row["record_data"] for row in withheld})
            rows_expected = expected(rows, table.schema)
            _join(rows_expected, {})
            return stored == rows_expected
        return stored == expected(rows, table.schema)

    def store(self, name: str) -> LocalPipelineStore:
        return LocalPipelineStore(self.folder / "stores" / name)

    def _publish_an_earlier_version(self) -> None:
        registry = self.server.registry
        shutil.rmtree(self.folder / "stores", ignore_errors=True)
        for name in TABLES:
            _keep(registry, name, self.rows[name][1:-1])
        results = self.run(self.sdk(), "subjects", "variables", "records")
        assert all(result.failure is None for result in results.values())
        shutil.move(self.folder / "stores", self._earlier)


def _join(rows: list[dict[str, Any]], withheld: dict[int, str]) -> None:
    """Put open and withheld values of records together again, in no order."""
    for row in rows:
        more = json.loads(withheld.get(row["record_id"], "{}"))
        row["record_data"] = {**json.loads(row["record_data"]), **more}


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    """Give a bench over a folder."""
    stores = folder / "stores"
    restricted = StoreResource(uri=str(stores / "restricted"), restricted=True)
    given = {
        "io_manager": StudyIOManager(store=StoreResource(uri=str(stores / "artifacts"))),
        "restricted_io_manager": StudyIOManager(store=restricted),
        "restricted_store": restricted,
    }
    with DemoServer(small_registry()) as server, dg.build_resources(given) as resources:
        yield Bench(server, folder, resources)
