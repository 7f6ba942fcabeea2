"""How long studies took before: what a run expects of them."""

from collections.abc import Iterable

import dagster as dg

from orch_assets.defs.runs.carried_results import newest_materializations


def past_durations(
    instance: dg.DagsterInstance, keys: Iterable[dg.AssetKey], study_keys: Iterable[str]
) -> dict[str, float]:
    """Return each study's working seconds over these assets, by their newest materializations.

    A study that has none is left out.
    """
    studies = list(study_keys)
    durations: dict[str, float] = {}
    for key in keys:
        for study_key, record in newest_materializations(instance, key, studies):
            event = record.asset_materialization
            seconds = event.metadata.get("duration_seconds") if event else None
            if seconds is not None and isinstance(seconds.value, (int, float)):
                durations[study_key] = durations.get(study_key, 0.0) + seconds.value
    return durations
