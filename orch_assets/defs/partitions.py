"""The studies of an account as Dagster partitions, and runs over them."""

import warnings
from collections.abc import Collection, Sequence
from typing import Final

import dagster as dg

STUDIES_NAME: Final = "studies"

_RANGE_START: Final = "dagster/asset_partition_range_start"
_RANGE_END: Final = "dagster/asset_partition_range_end"
_PARTITION: Final = "dagster/partition"
_PARTITION_TAGS: Final = frozenset({_PARTITION, _RANGE_START})

studies = dg.DynamicPartitionsDefinition(name=STUDIES_NAME)


def study_check_spec(name: str, key: dg.AssetKey, description: str) -> dg.AssetCheckSpec:
    """Return a check of an asset that is evaluated for each study."""
    with warnings.catch_warnings():  # partitioned checks are in preview
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(name, asset=key, partitions_def=studies, description=description)


def range_tags(first: str, last: str) -> dict[str, str]:
    """Return the tags of one run over the studies from first to last, in partition order."""
    return {_RANGE_START: first, _RANGE_END: last}


def range_of(run: dg.DagsterRun) -> tuple[str, str]:
    """Return the first and the last study of a run over studies."""
    study_key = run.tags.get(_PARTITION)
    if study_key is not None:
        return study_key, study_key
    return run.tags[_RANGE_START], run.tags[_RANGE_END]


def contiguous_pieces(study_keys: Collection[str], known: Sequence[str]) -> list[list[str]]:
    """Split studies into pieces that are each contiguous in partition order.

    A run covers a range of partitions, so each piece is one run.

    Args:
        study_keys: The studies. Those that aren't partitions are left out.
        known: All partitions in their order.
    """
    pieces: list[list[str]] = [[]]
    included = set(study_keys)
    for study_key in known:
        if study_key in included:
            pieces[-1].append(study_key)
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def is_run_over_studies(run: dg.DagsterRun, keys: frozenset[dg.AssetKey] | None = None) -> bool:
    """Return whether a run is over partitions of these assets.

    A run that names no assets counts, because it may be over any of them.

    Args:
        run: The run.
        keys: The assets; None means any assets.
    """
    return not _PARTITION_TAGS.isdisjoint(run.tags) and (
        keys is None or not keys.isdisjoint(run.asset_selection or keys)
    )


def range_requests(
    study_keys: Sequence[str], *, per_run: int | None, run_key: str | None = None
) -> list[dg.RunRequest]:
    """Return requests for runs over studies that are contiguous in partition order.

    Args:
        study_keys: The studies, in partition order.
        per_run: Number of studies in one run; None means one run for all.
        run_key: Prefix of the run keys. Dagster never runs the same key twice; None means a run
            each time.
    """
    size = per_run or max(len(study_keys), 1)
    return [
        dg.RunRequest(
            run_key=f"{run_key}:{start}" if run_key else None,
            tags=range_tags(study_keys[start], study_keys[min(start + size, len(study_keys)) - 1]),
        )
        for start in range(0, len(study_keys), size)
    ]
