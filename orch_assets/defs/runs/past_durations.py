"""How long studies took in earlier runs, so that a run can start with the longest ones."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import dagster as dg

from orch_assets.defs.runs.earlier_results import newest_materializations
from orch_assets.defs.study_results import RESULTS_KEY, load_results
from orch_assets.errors import StoreError


def past_durations(
    instance: dg.DagsterInstance,
    keys: Sequence[dg.AssetKey],
    study_keys: Iterable[str],
    resources: Any = None,
) -> dict[str, float]:
    """Return each study's working seconds, summed over its newest results of the assets.

    They are read from the table ``study_results``. If it was never made, or can't be read, they are
    read from the materializations, which takes a hundred times as long.

    Args:
        instance: The instance.
        keys: The assets.
        study_keys: The studies. One without any successful result is left out.
        resources: Resources of the run, with the IO manager of the table as ``io_manager``.
    """
    studies = set(study_keys)
    materialized = set(_materialized(instance, [RESULTS_KEY, *keys]))
    io_manager = getattr(resources, "io_manager", None)
    found: list[tuple[str, float]] = []
    if RESULTS_KEY in materialized and io_manager is not None:
        found = _from_table(instance, io_manager, keys, studies)
    if not found:
        found = [*_from_events(instance, [key for key in keys if key in materialized], studies)]
    durations: dict[str, float] = {}
    for study_key, seconds in found:
        durations[study_key] = durations.get(study_key, 0.0) + seconds
    return durations


def _from_table(
    instance: dg.DagsterInstance,
    io_manager: dg.IOManager,
    keys: Iterable[dg.AssetKey],
    studies: Collection[str],
) -> list[tuple[str, float]]:
    pipelines = {key.to_user_string() for key in keys}
    try:
        entries, _ = load_results(instance, io_manager)
    except StoreError:
        return []
    return [
        (entry.study_key, entry.duration_seconds)
        for entry in entries
        if entry.study_key in studies
        and entry.pipeline in pipelines
        and entry.error is None
        and entry.duration_seconds is not None
    ]


def _from_events(
    instance: dg.DagsterInstance, keys: Iterable[dg.AssetKey], studies: Iterable[str]
) -> Iterator[tuple[str, float]]:
    for key in keys:
        for study_key, record in newest_materializations(instance, key, studies):
            event = record.asset_materialization
            seconds = event.metadata.get("duration_seconds") if event else None
            if seconds is not None and isinstance(seconds.value, (int, float)):
                yield study_key, seconds.value


def _materialized(
    instance: dg.DagsterInstance, keys: Sequence[dg.AssetKey]
) -> Iterator[dg.AssetKey]:
    """Yield the assets that were ever materialized, found with one query for all of them."""
    for record in instance.get_asset_records(keys):
        if record.asset_entry.last_materialization_record is not None:
            yield record.asset_entry.asset_key
