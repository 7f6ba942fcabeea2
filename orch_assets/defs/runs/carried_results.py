"""Re-execution: what a resumed run carries forward instead of running it again."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import dagster as dg

from orch_assets.defs.events import carried

_BATCH = 500


def done_in_parent(
    instance: dg.DagsterInstance, run: dg.DagsterRun, keys: Iterable[dg.AssetKey]
) -> dict[dg.AssetKey, set[str]]:
    """Return the studies that the run's parent materialized, by asset; empty if it has none.

    A resumed run logs again what it carries forward, so the direct parent knows of all before it.
    Only "from failure" resumes; any other re-execution starts anew.
    """
    wanted = {key: set[str]() for key in keys}
    if run.tags.get("dagster/is_resume_retry") != "true" or run.parent_run_id is None:
        return wanted
    for event in _materializations(instance, run.parent_run_id):
        if event.asset_key in wanted and event.partition is not None:
            wanted[event.asset_key].add(event.partition)
    return wanted


def _materializations(
    instance: dg.DagsterInstance, run_id: str
) -> Iterator[dg.AssetMaterialization]:
    cursor = None
    while True:
        page = instance.get_records_for_run(
            run_id, cursor, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION, limit=_BATCH
        )
        for record in page.records:
            if record.asset_materialization is not None:
                yield record.asset_materialization
        if not page.has_more:
            return
        cursor = page.cursor


def newest_materializations(
    instance: dg.DagsterInstance, key: dg.AssetKey, study_keys: Iterable[str]
) -> Iterator[tuple[str, dg.EventLogRecord]]:
    """Yield each study's newest materialization of an asset; studies without one are left out."""
    remaining = iter(study_keys)
    while batch := list(islice(remaining, _BATCH)):
        newest = instance.event_log_storage.get_latest_storage_id_by_partition(
            key, dg.DagsterEventType.ASSET_MATERIALIZATION, set(batch)
        )
        yield from _by_storage_id(instance, key, list(newest.values()))


def _by_storage_id(
    instance: dg.DagsterInstance, key: dg.AssetKey, storage_ids: Sequence[int]
) -> Iterator[tuple[str, dg.EventLogRecord]]:
    if not storage_ids:
        return
    wanted = dg.AssetRecordsFilter(key, storage_ids=storage_ids)
    for record in instance.fetch_materializations(wanted, limit=len(storage_ids)).records:
        if record.partition_key is not None:
            yield record.partition_key, record


def carried_events(
    instance: dg.DagsterInstance, key: dg.AssetKey, study_keys: Iterable[str]
) -> Iterator[dg.AssetMaterialization]:
    """Yield the newest materialization of each study, to be logged again as carried.

    The newest, not the parent run's: another run may have refreshed the study since, and logging
    the older event again would hide it.
    """
    for study_key, record in newest_materializations(instance, key, study_keys):
        yield carried(record, study_key)
