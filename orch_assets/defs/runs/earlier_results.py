"""Results of earlier runs: what a resumed run carries forward."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import dagster as dg

from orch_assets.defs.events import carried

_BATCH: Final = 500


def done_in_parent(
    instance: dg.DagsterInstance, run: dg.DagsterRun, keys: Iterable[dg.AssetKey]
) -> dict[dg.AssetKey, set[str]]:
    """Return the studies that the run that is resumed materialized, by asset.

    Every set is empty unless the run re-executes its parent "from failure": any other re-execution
    starts anew. A resumed run logs again what it carries forward, so its own parent is looked at
    only if it logged nothing, as when it was cancelled in the queue.
    """
    done = {key: set[str]() for key in keys}
    materializations = {dg.DagsterEventType.ASSET_MATERIALIZATION}
    for run_id in _resumed_runs(instance, run):
        for record in records_of_run(instance, run_id, materializations):
            event = record.asset_materialization
            if event is not None and event.asset_key in done and event.partition is not None:
                done[event.asset_key].add(event.partition)
        if any(done.values()):
            break
    return done


def _resumed_runs(instance: dg.DagsterInstance, run: dg.DagsterRun | None) -> Iterator[str]:
    """Yield the ID of the run that a run resumes, then of the run that this one resumed, …."""
    while run is not None and run.tags.get("dagster/is_resume_retry") == "true":
        if run.parent_run_id is None:
            return
        yield run.parent_run_id
        run = instance.get_run_by_id(run.parent_run_id)


def records_of_run(
    instance: dg.DagsterInstance, run_id: str, of_type: set[dg.DagsterEventType]
) -> Iterator[dg.EventLogRecord]:
    """Yield a run's events of some types, oldest first."""
    cursor = None
    while True:
        page = instance.get_records_for_run(run_id, cursor, of_type=of_type, limit=_BATCH)
        yield from page.records
        if not page.has_more:
            return
        cursor = page.cursor


def newest_materializations(
    instance: dg.DagsterInstance, key: dg.AssetKey, study_keys: Iterable[str]
) -> Iterator[tuple[str, dg.EventLogRecord]]:
    """Yield each study's newest materialization of an asset. Studies without one are left out."""
    return newest_records(instance, key, study_keys, dg.DagsterEventType.ASSET_MATERIALIZATION)


def newest_records(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    study_keys: Iterable[str],
    event_type: dg.DagsterEventType,
    *,
    since: float | None = None,
) -> Iterator[tuple[str, dg.EventLogRecord]]:
    """Yield each study's newest materialization or observation.

    Args:
        instance: The instance.
        key: The asset.
        study_keys: The studies.
        event_type: Which of the two.
        since: Only if it is newer than this timestamp.
    """
    is_observation = event_type is dg.DagsterEventType.ASSET_OBSERVATION
    fetch = instance.fetch_observations if is_observation else instance.fetch_materializations
    remaining = iter(study_keys)
    while batch := list(islice(remaining, _BATCH)):
        newest = instance.get_latest_storage_id_by_partition(key, event_type, set(batch))
        if not newest:
            continue
        records_filter = dg.AssetRecordsFilter(
            key, storage_ids=list(newest.values()), after_timestamp=since
        )
        for record in fetch(records_filter, limit=len(newest)).records:
            if record.partition_key is not None:
                yield record.partition_key, record


def carried_events(
    instance: dg.DagsterInstance, key: dg.AssetKey, study_keys: Iterable[str]
) -> Iterator[dg.AssetMaterialization]:
    """Yield the newest materialization of each study, for a resumed run to log again.

    The newest, not the parent run's: another run may have refreshed the study since, and logging
    the older event again would hide that result.
    """
    for study_key, record in newest_materializations(instance, key, study_keys):
        yield carried(record, study_key)
