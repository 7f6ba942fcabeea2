"""Old runs go with all that Dagster's tables hold of them; no state of a partition changes."""

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import inspect, text

from orch_assets import study_pipeline
from orch_assets.defs.cluster.run_claims import RunClaim, claimed_runs
from orch_assets.defs.graph import build_study_graph
from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets.defs.resources import StoreResource
from orch_assets.defs.runs.recorded_results import never_ended, new_entries
from orch_assets.defs.study_resources import study_resources
from orch_assets.defs.study_results import RESULTS_KEY, build_study_results, load_results
from orch_assets.defs.upkeep.old_runs import OldRuns
from orch_assets.defs.upkeep.run_tables import delete_run
from orch_assets.orchestration.reporting.matrix import newest
from orch_assets_tests.defs.instances import temporary_instance
from orch_assets_tests.defs.postgres import postgres_instance, postgres_server
from orch_assets_tests.support.harness import Account, execute, states

STUDIES = ["S1", "S2", "S3"]
KEYS = [dg.AssetKey("one"), dg.AssetKey("two")]


class KeptLocation:
    """Two pipelines and ``study_results``; the studies in ``failing`` fail."""

    def __init__(self, folder: Path) -> None:
        self.failing: set[str] = set()

        @study_pipeline
        def one(study_key: str, sdk: Any, study_logger: Any) -> dict[str, int]:
            if study_key in self.failing:
                raise ValueError("no data")
            return {"answer": 42}

        @study_pipeline
        def two(study_key: str, sdk: Any, study_logger: Any, one: Any) -> dict[str, int]:
            return {"answer": 43}

        graph = build_study_graph([one.__study_pipeline__, two.__study_pipeline__])
        refresh = dg.define_asset_job("refresh", selection=[RESULTS_KEY])
        self.resources = study_resources(
            StoreResource(uri=str(folder / "artifacts")),
            StoreResource(uri=str(folder / "restricted"), restricted=True),
            registry=Account(),
        )
        self.defs = dg.Definitions(
            assets=[graph, build_study_results(graph.keys)],
            jobs=[dg.define_asset_job("everything", selection=["one", "two"]), refresh],
            resources=self.resources,
            executor=dg.in_process_executor,
        )

    def run(self, real: dg.DagsterInstance, first: str, last: str | None = None, *fail: str) -> str:
        """Run studies, some of which fail; return the run's ID."""
        self.failing = {*fail}
        return execute(self.defs, real, first, last).run_id

    def refresh(self, real: dg.DagsterInstance) -> None:
        assert self.defs.resolve_job_def("refresh").execute_in_process(instance=real).success

    def known(self, real: dg.DagsterInstance) -> dict[str, Any]:
        """Return what Dagster and we derive from the events."""
        latest = real.event_log_storage.get_latest_asset_check_execution_by_key
        checks = list(self.defs.resolve_asset_graph().asset_check_keys)
        return {
            "states": [states(real, key.to_user_string()) for key in KEYS],
            "results": load_results(real, self.resources["io_manager"]),
            "rebuilt": newest(new_entries(real, KEYS, STUDIES, [], 0), STUDIES, ["one", "two"]),
            "ended": [*never_ended(real, KEYS)],
            "checks": {key: record.run_id for key, record in latest(checks).items()},
            "records": [
                record.asset_entry.last_materialization_storage_id
                for record in real.get_asset_records([*KEYS, RESULTS_KEY])
            ],
        }


@pytest.fixture
def location(tmp_path: Path) -> KeptLocation:
    return KeptLocation(tmp_path)


@pytest.fixture(scope="module")
def postgres() -> Iterator[dict[str, Any]]:
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def any_instance(request: pytest.FixtureRequest) -> Iterator[dg.DagsterInstance]:
    opened: AbstractContextManager[dg.DagsterInstance]
    if request.param == "sqlite":
        opened = temporary_instance()
    else:
        opened = postgres_instance(request.getfixturevalue("postgres"))
    with opened as real:
        real.add_dynamic_partitions(STUDIES_NAME, STUDIES)
        yield real


@pytest.fixture
def real() -> Iterator[dg.DagsterInstance]:
    with temporary_instance() as made:
        made.add_dynamic_partitions(STUDIES_NAME, STUDIES)
        yield made


def later() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def run_ids(real: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in real.get_runs()}


def rows_of(real: dg.DagsterInstance) -> dict[str, set[str]]:
    """Return the runs that each table of events mentions."""
    storage: Any = real.event_log_storage
    with storage.index_connection() as connection:
        tables = [
            table
            for table in inspect(connection).get_table_names()
            if any(c["name"] == "run_id" for c in inspect(connection).get_columns(table))
        ]
        return {
            table: {row[0] for row in connection.execute(text(f"SELECT run_id FROM {table}"))}
            for table in tables
        }


def test_no_state_changes_and_nothing_is_left_of_a_run(
    location: KeptLocation, any_instance: dg.DagsterInstance
) -> None:
    real = any_instance
    location.run(real, "S1", "S3")
    newest_success_of_s3 = location.run(real, "S1", "S3", "S2")
    newest_of_all_else = location.run(real, "S1", "S3", "S3")
    location.refresh(real)
    location.refresh(real)
    before, there = location.known(real), run_ids(real)
    one, _ = before["states"]
    assert one == {"S1": "MATERIALIZED", "S2": "MATERIALIZED", "S3": "FAILED"}
    log = [dg.serialize_value(each) for each in real.all_logs(newest_of_all_else)]
    assert OldRuns(real, datetime.now(UTC) - timedelta(hours=1)).remove() == []
    dry = OldRuns(real, later()).remove(dry_run=True)
    assert run_ids(real) == there
    assert OldRuns(real, later()).remove() == dry
    assert location.known(real) == before
    gone = there - run_ids(real)
    assert next((each.kind, each.count) for each in dry) == ("runs", len(gone))
    assert len(gone) == 2, "the first run, and the first refresh"
    assert {newest_success_of_s3, newest_of_all_else} <= run_ids(real)
    assert all(gone.isdisjoint(runs) for runs in rows_of(real).values())
    assert [dg.serialize_value(each) for each in real.all_logs(newest_of_all_else)] == log
    assert OldRuns(real, later()).remove() == []


def test_a_run_of_its_own_file_loses_it(location: KeptLocation, real: dg.DagsterInstance) -> None:
    """SQLite keeps a database for each run, and Dagster forgets it; and what was printed goes."""
    first = location.run(real, "S1")
    location.run(real, "S1")
    storage: Any = real.event_log_storage
    database = Path(storage.path_for_shard(first))
    printed = Path(real.storage_directory(), first, "compute_logs", "step.out")
    printed.parent.mkdir(parents=True, exist_ok=True)
    printed.write_text("hello")
    assert database.exists()
    logs = next(f for f in OldRuns(real, later()).remove() if f.kind == "compute logs")
    assert logs.count >= 1
    assert not database.exists()
    assert not printed.exists()


def test_what_is_needed_stays(location: KeptLocation, real: dg.DagsterInstance) -> None:
    """Marked runs, and what an unfinished run re-executes."""
    marked, parent, other = (location.run(real, "S1") for _ in range(3))
    location.run(real, "S1")
    real.create_run_for_job(
        location.defs.resolve_job_def("everything"),
        parent_run_id=parent,
        root_run_id=parent,
        tags={"dagster/partition": "S1"},
    )
    old = OldRuns(real, later(), lambda: {marked})
    assert {marked, parent} <= old.kept
    old.remove()
    assert {marked, parent} <= run_ids(real)
    assert other not in run_ids(real)


def test_a_killed_removal_is_completed(
    location: KeptLocation, real: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = location.run(real, "S1")
    location.run(real, "S1")
    location.refresh(real)
    before = location.known(real)

    class KilledError(BaseException):
        pass

    def killed(_: str) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(real.run_storage, "delete_run", killed)
        with pytest.raises(KilledError):
            delete_run(real, first)
    assert first in run_ids(real)
    assert location.known(real) == before
    OldRuns(real, later()).remove()
    assert first not in run_ids(real)
    assert location.known(real) == before


def test_with_random_failures_old_runs_go(location: KeptLocation, real: dg.DagsterInstance) -> None:
    """What a later success has superseded keeps no run, and no state changes."""
    chance = random.Random(7)
    for _ in range(4):
        location.run(real, "S1", "S3", *(each for each in STUDIES if chance.random() < 0.5))
    before = location.known(real)
    OldRuns(real, later()).remove()
    assert location.known(real) == before
    last = location.run(real, "S1", "S3")
    OldRuns(real, later()).remove()
    assert run_ids(real) == {last}


def test_a_retired_study_keeps_no_run(location: KeptLocation, real: dg.DagsterInstance) -> None:
    """Unless nobody knows whether its partition is that of a study, or no study is left at all."""
    of_all, of_some = location.run(real, "S1", "S3"), location.run(real, "S1", "S2")
    real.delete_dynamic_partition(STUDIES_NAME, "S3")
    assert OldRuns(real, later()).kept == {of_all, of_some}
    assert OldRuns(real, later(), by_study=[KEYS[0]]).kept == {of_all, of_some}
    assert OldRuns(real, later(), by_study=KEYS).kept == {of_some}
    for study in ("S1", "S2"):
        real.delete_dynamic_partition(STUDIES_NAME, study)
    assert OldRuns(real, later(), by_study=KEYS).kept == {of_all, of_some}


def test_what_is_needed_since_stays(location: KeptLocation, real: dg.DagsterInstance) -> None:
    """A run that is marked after it was found, and one that is marked during the removal."""
    first, second, third, _ = (location.run(real, "S1") for _ in range(4))
    marked: Iterator[set[str]] = iter([set(), {first}, {first}, {first, third}])
    OldRuns(real, later(), lambda: next(marked)).remove()
    assert {first, third} <= run_ids(real)
    assert second not in run_ids(real)


def test_reports_stay_while_their_run_exists(
    location: KeptLocation, real: dg.DagsterInstance
) -> None:
    """A run may have ended after the moment at which its report is old."""
    run_id = location.run(real, "S1")
    assert run_id in OldRuns(real, datetime.now(UTC) - timedelta(hours=1)).kept


def test_a_failing_removal_keeps_the_other_runs_from_nothing(
    location: KeptLocation, real: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the class of the error is told."""
    first, second, _ = (location.run(real, "S1") for _ in range(3))
    delete_logs = real.compute_log_manager.delete_logs

    def without_permission(prefix: list[str]) -> None:
        if prefix == [first]:
            raise PermissionError("s3://secret")
        delete_logs(prefix=prefix)

    monkeypatch.setattr(real.compute_log_manager, "delete_logs", without_permission)
    old = OldRuns(real, later())
    assert ("runs", 1) in [(each.kind, each.count) for each in old.remove()]
    assert first in run_ids(real)
    assert second not in run_ids(real)
    assert old.problems == [
        "Some runs stay, because their removal failed with PermissionError."
    ]  # fmt: skip


def test_claims_to_runs_that_are_gone_go(
    location: KeptLocation, any_instance: dg.DagsterInstance
) -> None:
    real = any_instance
    first, second = (location.run(real, "S1") for _ in range(2))
    for run_id in (first, second, "00000000-never-there"):
        assert RunClaim(real, run_id).take()
    real.run_storage.set_cursor_values({"orch_assets/other": "x"})
    claims = next(each for each in OldRuns(real, later()).remove() if each.kind == "run claims")
    assert claims.count == 2
    assert claimed_runs(real) == [second]
    assert real.run_storage.get_cursor_values({"orch_assets/other"}) == {"orch_assets/other": "x"}


def test_an_event_of_no_run_supersedes_none(
    location: KeptLocation, any_instance: dg.DagsterInstance
) -> None:
    """A materialization that a person reported: the newest that a run made is needed, too."""
    real = any_instance
    first = location.run(real, "S1")
    real.report_runless_asset_event(dg.AssetMaterialization("one", partition="S1"))
    assert first in OldRuns(real, later()).kept
    second = location.run(real, "S1")
    assert OldRuns(real, later()).kept == {second}
