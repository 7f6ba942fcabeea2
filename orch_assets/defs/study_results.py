"""``study_results``: the newest result of each study and pipeline, refreshed by a sensor."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import dagster as dg

from orch_assets.defs import events
from orch_assets.defs.dagster_internals import UnresolvedAssetJobDefinition
from orch_assets.defs.io.table_types import table_class
from orch_assets.defs.partitions import STUDIES_NAME, is_run_over_studies
from orch_assets.defs.runs.earlier_results import records_of_run
from orch_assets.defs.runs.interrupts import cancelled_by_ctrl_c
from orch_assets.defs.set_in_code import NOTHING
from orch_assets.errors import StoreError
from orch_assets.orchestration.reporting.failure_summary import FailedStep
from orch_assets.orchestration.reporting.results import (
    COLUMNS,
    FAILED,
    Failure,
    MatrixEntry,
    as_columns,
    as_markdown,
    newest,
)

T = TypeVar("T")

RESULTS_KEY: Final = dg.AssetKey("study_results")

_BATCH: Final = 1000
# Events of two writers may become visible in another order than that of their IDs, so the last ones
# are read again. This is harmless: the newest event of a study and pipeline wins, however often it
# is read.
_OVERLAP: Final = 500
# The end of a run may be stored later than that of a run which ended after it.
_LOOK_BACK_SECONDS: Final = 300.0
_RESULT_EVENTS: Final = {
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_OBSERVATION,
}
_FINISHED: Final = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]


def build_study_results(graph_keys: Iterable[dg.AssetKey]) -> dg.AssetsDefinition:
    """Return the asset ``study_results``: the newest result of each study and pipeline.

    It reads the events since its last materialization and adds them to its own last table. It
    isn't meant to run together with studies: if it is selected with them, Dagster skips it, and
    the sensor refreshes it afterwards.
    """
    keys = sorted(graph_keys)

    @dg.asset(
        key=RESULTS_KEY,
        deps=keys,
        group_name="results",
        kinds={"table"},
        description="The newest result of each study and pipeline, one row each.",
        required_resource_keys={"io_manager"},
        config_schema=NOTHING,
    )
    @cancelled_by_ctrl_c
    def study_results(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        instance = context.instance
        stored, read_up_to = _stored_results(instance, context.resources.io_manager)
        new = [entry for key in keys for entry in _new_entries(instance, key, read_up_to)]
        entries = newest(
            [*stored, *new],
            instance.get_dynamic_partitions(STUDIES_NAME),
            [key.to_user_string() for key in keys],
        )
        return dg.MaterializeResult(
            value=_table(entries), metadata=_metadata(entries, keys, read_up_to)
        )

    return study_results


def build_results_sensor(
    job: dg.JobDefinition | UnresolvedAssetJobDefinition, graph_keys: Iterable[dg.AssetKey]
) -> dg.SensorDefinition:
    """Return the sensor that refreshes ``study_results`` after runs of the graph have ended.

    It requests one refresh for all runs that ended since the last tick.
    """
    keys = frozenset(graph_keys)

    @dg.sensor(
        name="study_results_sensor",
        job=job,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Refreshes study_results after runs of studies have ended.",
    )
    def study_results_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        up_to, seen = json.loads(context.cursor) if context.cursor else (0.0, [])
        records = context.instance.get_run_records(
            filters=dg.RunsFilter(
                statuses=_FINISHED,
                updated_after=datetime.fromtimestamp(max(0.0, up_to - _LOOK_BACK_SECONDS), tz=UTC),
            ),
            order_by="update_timestamp",
            ascending=True,
            limit=_BATCH,
        )
        ended = [r for r in records if is_run_over_studies(r.dagster_run, keys)]
        new = [r for r in ended if r.dagster_run.run_id not in set(seen)]
        latest = max((r.update_timestamp.timestamp() for r in records), default=up_to)
        return dg.SensorResult(
            run_requests=[dg.RunRequest()] if new else [],
            skip_reason=None if new else dg.SkipReason("No run of studies has ended."),
            cursor=json.dumps([latest, [r.dagster_run.run_id for r in ended]]),
        )

    return study_results_sensor


def load_results(
    instance: dg.DagsterInstance, io_manager: dg.IOManager
) -> tuple[list[MatrixEntry], int]:
    """Return the entries of the stored table, and the ID of the last event that it includes.

    Raises:
        StoreError: The table was materialized, but can't be read.
    """
    event = instance.get_latest_materialization_event(RESULTS_KEY)
    materialization = event.asset_materialization if event else None
    if materialization is None:
        return [], 0
    with dg.build_input_context(
        asset_key=RESULTS_KEY,
        dagster_type=dg.PythonObjectDagsterType(table_class("pyarrow.Table")),
    ) as context:
        table = io_manager.load_input(context)
    entries = [MatrixEntry(**row) for row in table.select(COLUMNS).to_pylist()]
    # The ID is taken from the rows, not from the event: two refreshes at the same time may leave
    # the table of one and the event of the other.
    return entries, max((entry.event_id for entry in entries), default=0)


def results_of_runs(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> list[MatrixEntry]:
    """Return the newest result of each study and pipeline among the events of some runs.

    Studies are in partition order. A study and pipeline that hasn't ended yet has no entry.
    """
    entries = [entry for run_id in run_ids for entry in _entries_of_run(instance, run_id)]
    pipelines = sorted({entry.pipeline for entry in entries})
    return newest(entries, instance.get_dynamic_partitions(STUDIES_NAME), pipelines)


def _stored_results(
    instance: dg.DagsterInstance, io_manager: dg.IOManager
) -> tuple[list[MatrixEntry], int]:
    """Return the stored results; none if they can't be read, as the events contain all of them."""
    try:
        return load_results(instance, io_manager)
    except StoreError:
        return [], 0


def failed_steps(instance: dg.DagsterInstance, run_id: str) -> Iterator[FailedStep]:
    """Yield the failures that a run recorded, in the order of its events."""
    for record in records_of_run(instance, run_id, _RESULT_EVENTS):
        entry = _entry(record.asset_key, record) if record.asset_key else None
        observation = record.event_log_entry.asset_observation
        if entry is None or observation is None or entry.status != FAILED:
            continue
        report = observation.metadata.get("failure_report")
        yield FailedStep(
            entry.study_key,
            entry.pipeline,
            Failure.from_loggable(entry.error or ""),
            None if report is None else str(report.value),
        )


# --- events ---


def _new_entries(
    instance: dg.DagsterInstance, key: dg.AssetKey, read_up_to: int
) -> Iterator[MatrixEntry]:
    records_filter = dg.AssetRecordsFilter(key, after_storage_id=max(0, read_up_to - _OVERLAP))
    for fetch in (instance.fetch_materializations, instance.fetch_observations):
        cursor = None
        while True:
            page = fetch(records_filter, limit=_BATCH, cursor=cursor, ascending=True)
            for record in page.records:
                if (entry := _entry(key, record)) is not None:
                    yield entry
            if not page.has_more:
                break
            cursor = page.cursor
    yield from _never_ended(instance, key)


def _entries_of_run(instance: dg.DagsterInstance, run_id: str) -> Iterator[MatrixEntry]:
    for record in records_of_run(instance, run_id, _RESULT_EVENTS):
        key = record.asset_key
        if key is not None and (entry := _entry(key, record)) is not None:
            yield entry


def _entry(key: dg.AssetKey, record: dg.EventLogRecord) -> MatrixEntry | None:
    """Return the result that an event records; None if it isn't a result of this package."""
    event = record.asset_materialization or record.event_log_entry.asset_observation
    if event is None or event.partition is None or "status" not in event.metadata:
        return None
    values: dict[str, Any] = {name: value.value for name, value in event.metadata.items()}
    data = values.get("data")
    return MatrixEntry(
        study_key=event.partition,
        pipeline=key.to_user_string(),
        status=str(values["status"]),
        data=None if data is None else json.dumps(data),
        error=_typed(values.get("error"), str),
        duration_seconds=_typed(values.get("duration_seconds"), float),
        rows=_typed(events.value_of(values, events.ROW_COUNT), int),
        uri=_typed(events.value_of(values, events.URI), str),
        sha256=_typed(values.get("sha256"), str),
        run_id=record.run_id,
        finished_at=datetime.fromtimestamp(record.timestamp, tz=UTC),
        event_id=record.storage_id,
    )


def _typed(value: Any, type_: type[T]) -> T | None:
    """Return a value if it has the expected type; a user's IO manager may set any value."""
    return value if isinstance(value, type_) else None


def _never_ended(instance: dg.DagsterInstance, key: dg.AssetKey) -> Iterator[MatrixEntry]:
    """Yield a failure for each study whose run ended (killed, cancelled, no keys) before it did."""
    storage = instance.event_log_storage
    # This reads from the first event on: a run may have been planned long before the last refresh
    # and killed after it. Only partitions whose last attempt didn't succeed are returned.
    planned = storage.get_latest_asset_partition_materialization_attempts_without_materializations(
        key
    )
    runs = {run_id: instance.get_run_by_id(run_id) for run_id, _ in planned.values()}
    for study_key, (run_id, event_id) in planned.items():
        run = runs[run_id]
        if run is None or not run.is_failure_or_canceled:
            continue
        yield MatrixEntry(
            study_key=study_key,
            pipeline=key.to_user_string(),
            status=FAILED,
            data=None,
            error="RunEnded: the run ended before this study did",
            duration_seconds=None,
            rows=None,
            uri=None,
            sha256=None,
            run_id=run_id,
            finished_at=datetime.fromtimestamp(_ended_at(instance, run_id), tz=UTC),
            event_id=event_id,
        )


def _ended_at(instance: dg.DagsterInstance, run_id: str) -> float:
    record = instance.get_run_record_by_id(run_id)
    return (record.end_time if record else None) or 0.0


# --- the table ---


def _table(entries: Sequence[MatrixEntry]) -> Any:
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    types = {
        "duration_seconds": pa.float64(),
        "rows": number,
        "finished_at": pa.timestamp("us", "UTC"),
        "event_id": number,
    }
    schema = pa.schema([(name, types.get(name, text)) for name in COLUMNS])
    return pa.table(as_columns(entries), schema=schema)


def _metadata(
    entries: Sequence[MatrixEntry], keys: Sequence[dg.AssetKey], read_up_to: int
) -> dict[str, Any]:
    shown = [key.to_user_string() for key in keys]
    failed = {entry.study_key for entry in entries if entry.status == FAILED}
    return {
        "matrix": dg.MetadataValue.md(as_markdown(entries, shown)),
        "studies": len({entry.study_key for entry in entries}),
        "failed_studies": len(failed),
        "new_results": sum(entry.event_id > read_up_to for entry in entries),
    }
