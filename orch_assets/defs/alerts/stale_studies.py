"""Which studies have had no success in a table for too long, read with few statements."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

import dagster as dg

from orch_assets.defs.events import recorded_at, value_of
from orch_assets.defs.runs.earlier_results import newest_materializations
from orch_assets.orchestration.reporting.results import FAILED

_BATCH: Final = 500
_PAGE: Final = 1000


def stale_studies(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    study_keys: Sequence[str],
    stale_after: timedelta,
    now: datetime,
) -> list[str]:
    """Return the studies without a success in a table for too long, in the order given.

    A success is a materialization of the study's partition, also of a study that the pipeline
    skipped, or one that a resumed run carried forward. A study that never succeeded is stale if its
    first failure is too old. One that never ran isn't stale: nobody has asked for its results yet.

    Args:
        instance: The instance.
        key: The table's asset.
        study_keys: The studies.
        stale_after: What is too long.
        now: The current time.
    """
    before = (now - stale_after).timestamp()
    # Event IDs rise with time: the newest event that is too old divides all others, so that no
    # event of a fresh study is read.
    old = dg.AssetRecordsFilter(key, before_timestamp=before)
    newest_old = instance.fetch_materializations(old, limit=1).records
    limit = newest_old[0].storage_id if newest_old else 0
    newest = _newest_ids(instance, key, study_keys)
    never = [study for study in study_keys if study not in newest]
    failed = _failed_before(instance, key, never, before) if never else set()
    return [s for s in study_keys if (newest[s] <= limit if s in newest else s in failed)]


def last_successes(
    instance: dg.DagsterInstance, key: dg.AssetKey, study_keys: Collection[str]
) -> dict[str, datetime]:
    """Return when studies last succeeded in a table; those that never did are left out."""
    return {
        study: recorded_at(record)
        for study, record in newest_materializations(instance, key, study_keys)
    }


def _newest_ids(
    instance: dg.DagsterInstance, key: dg.AssetKey, study_keys: Sequence[str]
) -> dict[str, int]:
    found: dict[str, int] = {}
    remaining = iter(study_keys)
    while batch := set(islice(remaining, _BATCH)):
        found |= instance.get_latest_storage_id_by_partition(
            key, dg.DagsterEventType.ASSET_MATERIALIZATION, batch
        )
    return found


def _failed_before(
    instance: dg.DagsterInstance, key: dg.AssetKey, study_keys: Sequence[str], before: float
) -> set[str]:
    """Return the studies that failed before a timestamp."""
    failed: set[str] = set()
    remaining = iter(study_keys)
    while batch := list(islice(remaining, _BATCH)):
        while batch:
            records_filter = dg.AssetRecordsFilter(
                key, asset_partitions=batch, before_timestamp=before
            )
            page = instance.fetch_observations(records_filter, limit=_PAGE)
            found = {str(r.partition_key) for r in page.records if _is_failure(r)}
            failed |= found
            # A study with many failures may fill a page; the others are asked for again.
            batch = [s for s in batch if s not in found] if page.has_more and found else []
    return failed


def _is_failure(record: dg.EventLogRecord) -> bool:
    observation = record.event_log_entry.asset_observation
    return observation is not None and value_of(observation.metadata, "status") == FAILED
