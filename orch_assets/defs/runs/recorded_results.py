"""The results that Dagster's event log records: of some runs, or the newest of each study."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, TypeVar

import dagster as dg

from orch_assets.defs import events
from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets.defs.runs.earlier_results import newest_records, records_of_run
from orch_assets.orchestration.reporting.failed_results import step_of
from orch_assets.orchestration.reporting.failure_summary import FailedStep
from orch_assets.orchestration.reporting.matrix import MatrixEntry, newest
from orch_assets.orchestration.reporting.results import FAILED

T = TypeVar("T")

# Metadata of a refreshed table that a result repeats.
COUNTS: Final = ("rows_new", "rows_changed", "rows_deleted", "rows_vanished", "requests_saved")

_BATCH: Final = 1000
# Events of two writers may become visible in another order than that of their IDs, so the last ones
# are read again. This is harmless: the newest event of a study and pipeline wins, however often it
# is read.
_OVERLAP: Final = 500
_RESULT_EVENTS: Final = {
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_OBSERVATION,
}


def results_of_runs(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> list[MatrixEntry]:
    """Return the newest result of each study and pipeline among the events of some runs.

    Studies are in partition order. A study and pipeline that hasn't ended yet has no entry.
    """
    entries = [entry for run_id in run_ids for entry in _entries_of_run(instance, run_id)]
    pipelines = sorted({entry.pipeline for entry in entries})
    return newest(entries, instance.get_dynamic_partitions(STUDIES_NAME), pipelines)


def failed_steps(instance: dg.DagsterInstance, run_id: str) -> Iterator[FailedStep]:
    """Yield the failures that a run recorded, in the order of its events."""
    for record in records_of_run(instance, run_id, {dg.DagsterEventType.ASSET_OBSERVATION}):
        entry = _entry(record.asset_key, record) if record.asset_key else None
        observation = record.event_log_entry.asset_observation
        if entry is None or observation is None or entry.status != FAILED:
            continue
        yield step_of(entry)


def new_entries(
    instance: dg.DagsterInstance,
    keys: Iterable[dg.AssetKey],
    study_keys: Collection[str],
    stored: Iterable[MatrixEntry],
    read_up_to: int,
) -> Iterator[MatrixEntry]:
    """Yield the results that the stored table lacks.

    Of a study that the table has, the events since the last refresh are read. Of another (all, if
    the table was lost), only the newest results: how often it ran before doesn't matter.

    Events that are written meanwhile wait for the next refresh, which goes on from the last event
    of this one: one asset's would hide those of the assets that were read before.
    """
    newest_id = instance.event_log_storage.get_maximum_record_id() or 0
    in_table: dict[str, set[str]] = {}
    for entry in stored:
        in_table.setdefault(entry.pipeline, set()).add(entry.study_key)
    for key in keys:
        known = in_table.get(key.to_user_string(), set())
        if known:
            yield from _entries_between(instance, key, read_up_to, newest_id)
        yield from _newest_entries(instance, key, set(study_keys) - known, newest_id)


def _entries_between(
    instance: dg.DagsterInstance, key: dg.AssetKey, read_up_to: int, newest_id: int
) -> Iterator[MatrixEntry]:
    records_filter = dg.AssetRecordsFilter(
        key,
        after_storage_id=max(0, read_up_to - _OVERLAP),
        before_storage_id=newest_id + 1,
    )
    for fetch in (instance.fetch_materializations, instance.fetch_observations):
        for record in _all_pages(fetch, records_filter, ascending=True):
            if (entry := _entry(key, record)) is not None:
                yield entry


def _newest_entries(
    instance: dg.DagsterInstance, key: dg.AssetKey, study_keys: Collection[str], newest_id: int
) -> Iterator[MatrixEntry]:
    """Yield the newest success and the newest failure of each study, found by their event IDs."""
    for event_type, fetch in (
        (dg.DagsterEventType.ASSET_MATERIALIZATION, instance.fetch_materializations),
        (dg.DagsterEventType.ASSET_OBSERVATION, instance.fetch_observations),
    ):
        for _, record in newest_records(instance, key, study_keys, event_type):
            entry = _entry(key, record) if record.storage_id <= newest_id else None
            # The newest event may be the user's own: then the result is an earlier one.
            entry = entry or _earlier_entry(fetch, key, record, newest_id)
            if entry is not None:
                yield entry


def _earlier_entry(
    fetch: Callable[..., dg.EventRecordsResult],
    key: dg.AssetKey,
    record: dg.EventLogRecord,
    newest_id: int,
) -> MatrixEntry | None:
    records_filter = dg.AssetRecordsFilter(
        key,
        asset_partitions=[str(record.partition_key)],
        before_storage_id=min(record.storage_id, newest_id + 1),
    )
    entries = (_entry(key, each) for each in _all_pages(fetch, records_filter, ascending=False))
    return next((entry for entry in entries if entry is not None), None)


def _all_pages(
    fetch: Callable[..., dg.EventRecordsResult],
    records_filter: dg.AssetRecordsFilter,
    *,
    ascending: bool,
) -> Iterator[dg.EventLogRecord]:
    cursor = None
    while True:
        page = fetch(records_filter, limit=_BATCH, cursor=cursor, ascending=ascending)
        yield from page.records
        if not page.has_more:
            return
        cursor = page.cursor


def never_ended(instance: dg.DagsterInstance, keys: Sequence[dg.AssetKey]) -> Iterator[MatrixEntry]:
    """Yield a failure for each study whose run ended (killed, cancelled, no keys) before it did."""
    storage = instance.event_log_storage
    # This reads from the first event on: a run may have been planned long before the last refresh
    # and killed after it. Only partitions whose last attempt didn't succeed are returned.
    planned = [
        (key.to_user_string(), study_key, run_id, event_id)
        for key in keys
        for study_key, (run_id, event_id) in (
            storage.get_latest_asset_partition_materialization_attempts_without_materializations(
                key
            ).items()
        )
    ]
    ended = _ended_early(instance, {run_id for _, _, run_id, _ in planned})
    for pipeline, study_key, run_id, event_id in planned:
        if run_id not in ended:
            continue
        yield MatrixEntry(
            study_key=study_key,
            pipeline=pipeline,
            status=FAILED,
            data=None,
            error="RunEnded: the run ended before this study did",
            duration_seconds=None,
            rows=None,
            uri=None,
            sha256=None,
            run_id=run_id,
            finished_at=ended[run_id],
            event_id=event_id,
        )


def _ended_early(instance: dg.DagsterInstance, run_ids: Iterable[str]) -> dict[str, datetime]:
    """Return when each of these runs failed or was cancelled; others are left out."""
    remaining, ended = iter(run_ids), {}
    while batch := list(islice(remaining, _BATCH)):
        for record in instance.get_run_records(dg.RunsFilter(run_ids=batch)):
            if record.dagster_run.is_failure_or_canceled:
                at = datetime.fromtimestamp(record.end_time or 0.0, tz=UTC)
                ended[record.dagster_run.run_id] = at
    return ended


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
    counts: dict[str, Any] = {name: _typed(values.get(name), int) for name in COUNTS}
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
        finished_at=events.recorded_at(record),
        event_id=record.storage_id,
        refresh=_typed(values.get("refresh"), str),
        skipped=events.skipped(values),
        failure_report=_typed(values.get("failure_report"), str),
        **counts,
    )


def _typed(value: Any, type_: type[T]) -> T | None:
    """Return a value if it has the expected type; a user's IO manager may set any value."""
    return value if isinstance(value, type_) else None
