"""A run outlasts a database that is away, wherever it stands then, and stores each event once."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import dagster as dg
import dagster_postgres.utils
import psycopg2
import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.util import EMPTY_DICT

from orch_assets.defs.cluster import database_waits
from orch_assets.defs.cluster.run_claims import Heartbeats, RunClaim
from orch_assets.defs.cluster.run_task import execute_delivered_run
from orch_assets.defs.runs import result_log
from orch_assets.defs.runs.result_log import ResultLog
from orch_assets_tests.defs.postgres import postgres_instance, postgres_server

HEARTBEATS = Heartbeats(every_seconds=0.2, dead_after_seconds=90)
# What happens when the job is loaded, and in the body of its asset.
LOADING, BODY = "when the job is loaded", "in the asset's body"
STEP_ENDS = dg.DagsterEventType.STEP_SUCCESS.value
RUN_ENDS = dg.DagsterEventType.RUN_SUCCESS.value
HOOKS: dict[str, Callable[[], object]] = {}


def reach(place: str) -> None:
    """Do what a test wants to happen at a place, once."""
    HOOKS.pop(place, lambda: None)()


@dg.asset
def some_asset(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
    reach(BODY)
    assert context.instance.get_latest_materialization_event(context.asset_key) is None
    results = ResultLog(context, set())
    results.add(dg.AssetMaterialization("other_asset", partition="S1", tags={"a": "b"}))
    results.flush()
    yield dg.Output(None)


def load_job() -> dg.JobDefinition:
    reach(LOADING)
    jobs = [dg.define_asset_job("assets", executor_def=dg.in_process_executor)]
    return dg.Definitions([some_asset], jobs=jobs).resolve_job_def("assets")


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, Any]]:
    with postgres_server() as made:
        yield made


class Database:
    """An instance's database, which may be away."""

    def __init__(self, instance: dg.DagsterInstance, server: dict[str, Any]) -> None:
        self._name = instance.run_storage.postgres_url.rpartition("/")[2]  # type: ignore[attr-defined]
        self._port = server["port"]
        self.cuts = 0

    def cut(self) -> None:
        """Take it away, and give it back in a moment."""
        self.cuts += 1
        self._do(
            f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS false",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname='{self._name}'",
        )
        threading.Timer(
            1, self._do, [f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS true"]
        ).start()

    def _do(self, *statements: str) -> None:
        where = {"host": "127.0.0.1", "port": self._port, "user": "dagster", "dbname": "postgres"}
        with closing(psycopg2.connect(**where)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)


@pytest.fixture
def instance(
    server: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """An instance whose database Dagster itself gives up at once, instead of in ten seconds."""
    monkeypatch.setattr(dagster_postgres.utils, "calculate_delay", lambda **_: 0)
    monkeypatch.setattr(database_waits, "_AWAY_SECONDS", 0.05)
    with postgres_instance(server) as made:
        yield made
    HOOKS.clear()


def new_run(instance: dg.DagsterInstance) -> str:
    """Return the ID of a run that the broker has delivered."""
    job = dg.reconstructable(load_job)
    run = instance.create_run_for_job(
        job.get_definition(),
        status=dg.DagsterRunStatus.STARTING,
        job_code_origin=job.get_python_origin(),
    )
    return run.run_id


def status_of(instance: dg.DagsterInstance, run_id: str) -> str:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status.value


def events_of(instance: dg.DagsterInstance, run_id: str) -> Counter[tuple[str, str]]:
    found = instance.all_logs(run_id)
    return Counter((str(each.dagster_event_type), each.message) for each in found)


@pytest.mark.parametrize("place", [LOADING, BODY, STEP_ENDS, RUN_ENDS])
def test_an_outage_fails_no_run(
    instance: dg.DagsterInstance, server: dict[str, Any], place: str
) -> None:
    run_id = new_run(instance)
    database = Database(instance, server)
    HOOKS[place] = database.cut
    instance.add_event_listener(
        run_id, lambda event: reach(event.dagster_event_type.value if event.dagster_event else "")
    )
    assert execute_delivered_run(instance, run_id, HEARTBEATS)
    assert (status_of(instance, run_id), database.cuts) == ("SUCCESS", 1)
    assert set(events_of(instance, run_id).values()) == {1}
    assert RunClaim(instance, run_id).note() is None


def lossy(function: Callable[..., Any], times: list[object]) -> Callable[..., Any]:
    """Return a function that does its work and then once fails, as if its answer had been lost."""

    def call(*arguments: Any) -> Any:
        answer = function(*arguments)
        if not times:
            times.append(answer)
            raise OperationalError("INSERT", EMPTY_DICT, Exception("the connection was lost"))
        return answer

    return call


def test_an_event_whose_storage_was_not_confirmed_is_stored_once(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = new_run(instance)
    storage = type(instance.event_log_storage)
    singles: list[object] = []
    batches: list[object] = []
    monkeypatch.setattr(storage, "store_event", lossy(storage.store_event, singles))
    monkeypatch.setattr(result_log, "store_batch", lossy(result_log.store_batch, batches))
    assert execute_delivered_run(instance, run_id, HEARTBEATS)
    assert (len(singles), len(batches)) == (1, 1)
    assert status_of(instance, run_id) == "SUCCESS"
    assert set(events_of(instance, run_id).values()) == {1}


def test_a_run_that_could_not_be_executed_has_an_end(instance: dg.DagsterInstance) -> None:
    def fail() -> None:
        raise ImportError("no module of this name")

    run_id = new_run(instance)
    HOOKS[LOADING] = fail
    assert execute_delivered_run(instance, run_id, HEARTBEATS)
    assert status_of(instance, run_id) == "FAILURE"
    assert RunClaim(instance, run_id).note() is None


def test_a_run_that_is_cancelled_before_it_begins_has_an_end(
    instance: dg.DagsterInstance,
) -> None:
    def cancel() -> None:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        instance.report_run_canceling(run)
        os.kill(os.getpid(), signal.SIGTERM)

    run_id = new_run(instance)
    HOOKS[LOADING] = cancel
    assert execute_delivered_run(instance, run_id, HEARTBEATS)
    assert status_of(instance, run_id) == "CANCELED"
