"""The check ``reconciled``: did a table arrive whole, study by study."""

from typing import Final

import dagster as dg

from orch_assets.defs.partitions import studies
from orch_assets.errors import IncompleteTableError, TableMovedError
from orch_assets.orchestration.result import Failure

CHECK_NAME: Final = "reconciled"

# What the check tells of a table that arrived.
_TOLD: Final = ("expected", "arrived", "pages", "retries")
_NOT_WHOLE: Final = frozenset({IncompleteTableError.__name__, TableMovedError.__name__})


def check_spec(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the check of one table."""
    return dg.AssetCheckSpec(
        CHECK_NAME,
        asset=key,
        partitions_def=studies,
        description=(
            "Whether as many rows arrived as the registry counts, at the start and at the end of "
            "the reading, each with an ID of its own. A table that fails is not stored."
        ),
    )


def evaluation(
    key: dg.AssetKey, study_key: str, outcome: dg.AssetMaterialization | Failure
) -> dg.AssetCheckEvaluation | None:
    """Return what a study's result says of its table; None where it says nothing.

    A pipeline that failed before or after the reading tells nothing of it.
    """
    if isinstance(outcome, Failure):
        if outcome.kind not in _NOT_WHOLE:
            return None
        return dg.AssetCheckEvaluation(
            asset_key=key,
            check_name=CHECK_NAME,
            partition=study_key,
            passed=False,
            metadata={"error": outcome.loggable},
        )
    told = {name: outcome.metadata[name] for name in _TOLD if name in outcome.metadata}
    if not told:
        return None
    return dg.AssetCheckEvaluation(
        asset_key=key, check_name=CHECK_NAME, partition=study_key, passed=True, metadata=told
    )
