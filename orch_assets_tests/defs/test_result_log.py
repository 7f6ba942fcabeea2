"""The successes of a run are stored several at a time, as Dagster would store each of them."""

import time
import uuid
from collections.abc import Iterator
from typing import Any, ClassVar

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage
from sqlalchemy import inspect, text

from orch_assets import study_pipeline
from orch_assets.defs import dagster_internals as internals
from orch_assets.defs.partitions import STUDIES_NAME, studies, study_check_spec
from orch_assets.defs.resources import OrchestrationResource
from orch_assets_tests.defs.instances import temporary_instance
from orch_assets_tests.defs.postgres import postgres_instance, postgres_server
from orch_assets_tests.support.harness import definitions, execute, instance, states
from orch_assets_tests.support.statements import counted_statements

STUDIES = [f"S-{number}" for number in range(7)]
KEYS = [dg.AssetKey("first"), dg.AssetKey(["in", "second"])]

of_batches = pytest.mark.skipif(
    not hasattr(SqliteEventLogStorage, "_store_asset_event"),
    reason="This release of Dagster stores events one by one.",
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[dict[str, Any]]:
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def new_instance(request):
    """A function that gives an instance of its own each time."""
    if request.param == "sqlite":
        return temporary_instance
    server = request.getfixturevalue("postgres")
    return lambda: postgres_instance(server)


def _stored(real: dg.DagsterInstance, batch: int) -> dict[str, Any]:
    """Log the events of a run in batches (0: one by one, as Dagster does); return all tables."""
    storage: Any = real.event_log_storage

    @dg.multi_asset(
        name="graph",
        specs=[dg.AssetSpec(key, partitions_def=studies, skippable=True) for key in KEYS],
        check_specs=[study_check_spec("reconciled", key, "") for key in KEYS],
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def graph(context: dg.AssetExecutionContext) -> Iterator[Any]:
        entries = [
            internals.log_entry(context, each)._replace(timestamp=1e9 + number)
            for number, each in enumerate(_events())
        ]
        if batch:
            assert internals.can_store_batches(storage)
            for start in range(0, len(entries), batch):
                internals.store_batch(storage, entries[start : start + batch])
        else:
            for entry in entries:
                storage.store_event(entry)
        for check in context.selected_asset_check_keys:
            yield dg.Output(None, f"{check.asset_key.to_python_identifier()}_{check.name}")

    real.add_dynamic_partitions(STUDIES_NAME, STUDIES)
    run_id = str(uuid.uuid4())
    job = dg.Definitions(assets=[graph]).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=real,
        run_id=run_id,
        tags={
            "dagster/asset_partition_range_start": STUDIES[0],
            "dagster/asset_partition_range_end": STUDIES[-1],
        },
    )
    assert result.success
    return {
        shard: _tables(connect, run_id)
        for shard, connect in {
            "run": lambda: storage.run_connection(run_id),
            "index": storage.index_connection,
        }.items()
    }


def _events() -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """Yield materializations with tags, then a passed or failed check of each."""
    for study_key in STUDIES:
        for key in KEYS:
            yield dg.AssetMaterialization(
                key,
                partition=study_key,
                metadata={"rows": 3, "study": study_key},
                tags={"dagster/data_version": f"{study_key}-{key.path[-1]}"},
            )
    for number, study_key in enumerate(STUDIES):
        for key in KEYS:
            yield dg.AssetCheckEvaluation(
                asset_key=key,
                check_name="reconciled",
                partition=study_key,
                passed=number % 3 > 0,
                metadata={"expected": number},
                target_materialization_data=internals.AssetCheckEvaluationTargetMaterializationData(
                    storage_id=number + 1, run_id="run", timestamp=1.0
                ),
            )


def _tables(connect: Any, run_id: str) -> dict[str, list[Any]]:
    """Return the rows of the event log's tables, without what differs between two runs."""
    with connect() as connection:
        kept = ("event_logs", "asset_keys", "asset_event_tags", "asset_check_executions")
        tables = {}
        for name in kept:
            columns = [
                column["name"]
                for column in inspect(connection).get_columns(name)
                if column["name"] not in {"create_timestamp", "id"}
            ]
            of_results = (
                "where dagster_event_type like 'ASSET_%' and dagster_event_type not like '%PLANNED'"
                if name == "event_logs"
                else ""
            )
            rows = connection.execute(
                text(f"select id, {', '.join(columns)} from {name} {of_results} order by id")
            ).fetchall()
            tables[name] = [
                [str(value).replace(run_id, "RUN") for value in row[1:]] for row in rows
            ]
    return tables


@of_batches
def test_a_batch_leaves_the_rows_that_dagster_leaves(new_instance):
    """Event log, asset keys, tags and check executions are equal, in every database."""
    with new_instance() as real:
        one_by_one = _stored(real, 0)
    for batch in (1, 3, 14):
        with new_instance() as real:
            assert _stored(real, batch) == one_by_one
    assert len(one_by_one["index"]["event_logs"]) == 28
    assert len(one_by_one["index"]["asset_check_executions"]) == 14
    assert len(one_by_one["index"]["asset_event_tags"]) == 14


@of_batches
def test_a_batch_costs_a_few_statements(new_instance):
    """One by one, a materialization and its check cost eleven on SQLite."""
    counts = []
    for batch in (0, 14):
        with new_instance() as real, counted_statements() as statements:
            _stored(real, batch)
        counts.append(sum("EXPLAIN" not in each for each in statements))
    one_by_one, together = counts
    assert one_by_one - together > 6 * len(STUDIES) * len(KEYS)


class OwnStorage(SqliteEventLogStorage):
    """A user's storage, which does more for each event."""

    told: ClassVar[list[str]] = []

    def store_event(self, event: dg.EventLogEntry) -> None:
        """Tell somebody of the event."""
        if event.dagster_event is not None:
            self.told.append(event.dagster_event.event_type_value)
        super().store_event(event)

    @classmethod
    def from_config_value(cls, inst_data, config_value):
        """Return the storage."""
        return cls(inst_data=inst_data, **config_value)


def test_a_storage_of_ones_own_is_given_each_event(tmp_path):
    """Only Dagster's own storages are known to have nothing else to do."""

    @study_pipeline
    def work(study_key, sdk, study_logger):
        return {"rows": 3}

    configuration = {
        "event_log_storage": {
            "module": __name__,
            "class": "OwnStorage",
            "config": {"base_dir": str(tmp_path / "events")},
        }
    }
    OwnStorage.told.clear()
    with temporary_instance(configuration) as real:
        real.add_dynamic_partitions(STUDIES_NAME, STUDIES)
        execute(definitions(tmp_path, work), real, STUDIES[0], STUDIES[-1])
        assert set(states(real, "work").values()) == {"MATERIALIZED"}
    assert OwnStorage.told.count("ASSET_MATERIALIZATION") == len(STUDIES)


def test_a_result_is_logged_while_other_studies_still_run(tmp_path):
    """It waits for others a second at most, also if none of them ends."""
    logged = []

    with instance("A", "B") as real:

        @study_pipeline
        def work(study_key, sdk, study_logger):
            deadline = time.monotonic() + 30
            while study_key == "B" and not logged and time.monotonic() < deadline:
                time.sleep(0.1)
                logged.extend(real.get_materialized_partitions(dg.AssetKey("work")))

        workers = OrchestrationResource(max_workers=2)
        execute(definitions(tmp_path, work, orchestration=workers), real, "A", "B")
    assert logged == ["A"]


class OddMetadata(dg.IOManager):
    """Gives metadata of one study that Dagster takes, and then can't store."""

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Store nothing."""
        odd = context.partition_key == STUDIES[3]
        context.add_output_metadata({"mean": np.float64(1) if odd else 1.0})

    def load_input(self, context: dg.InputContext) -> None:
        """Load nothing."""


def test_metadata_that_cannot_be_stored_fails_its_own_study(tmp_path):
    """The results that are stored together with it are logged."""

    @study_pipeline
    def work(study_key, sdk, study_logger):
        return pd.DataFrame({"rows": [3]})

    with instance(*STUDIES) as real:
        defs = definitions(tmp_path, work, io_manager=OddMetadata())
        run = execute(defs, real, STUDIES[0], STUDIES[-1])
        assert run.status is dg.DagsterRunStatus.FAILURE
        good = [key for key, state in states(real, "work").items() if state == "MATERIALIZED"]
    assert good == [key for key in STUDIES if key != STUDIES[3]]


def test_listeners_of_a_run_get_each_result(tmp_path):
    """The command counts its results by them."""
    heard = []

    with instance(*STUDIES) as real:

        @study_pipeline
        def work(study_key, sdk, study_logger):
            if study_key == STUDIES[0]:
                (run,) = real.get_runs()
                real.add_event_listener(run.run_id, heard.append)
            return {"rows": 3}

        execute(definitions(tmp_path, work), real, STUDIES[0], STUDIES[-1])
    found = [each.asset_materialization for each in heard if each.asset_materialization]
    assert sorted(each.partition for each in found) == STUDIES
