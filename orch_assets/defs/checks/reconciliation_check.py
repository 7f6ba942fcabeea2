"""The check ``reconciled``: did a table arrive whole, study by study."""

from typing import Any, Final

import dagster as dg

from orch_assets.defs.dagster_internals import AssetCheckEvaluationTargetMaterializationData
from orch_assets.defs.partitions import study_check_spec
from orch_assets.errors import IncompleteTableError, TableChangedError
from orch_assets.orchestration.reporting.results import Failure

CHECK_NAME: Final = "reconciled"

_DESCRIPTION: Final = (
    "Whether as many rows arrived as the registry counts, at the start and at the end of the "
    "reading, each with an ID of its own. A table that fails is not stored."
)
# What the check tells of a table that arrived.
_TOLD: Final = ("expected", "arrived", "pages", "retries", "replaced_surrogates")
_NOT_WHOLE: Final = frozenset({IncompleteTableError.__name__, TableChangedError.__name__})


def check_spec(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the check of one table."""
    return study_check_spec(CHECK_NAME, key, _DESCRIPTION)


def evaluation(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    study_key: str,
    outcome: dg.AssetMaterialization | Failure,
) -> dg.AssetCheckEvaluation | None:
    """Return what a study's result says of its table; None where it says nothing.

    A pipeline that failed before or after the reading tells nothing of it.

    Args:
        instance: knows the materialization that the check is about.
        key: the table.
        study_key: the study.
        outcome: a success, logged already, or a failure.
    """
    told: dict[str, Any]
    if isinstance(outcome, Failure):
        if outcome.kind not in _NOT_WHOLE:
            return None
        told = {"error": dg.MetadataValue.text(outcome.loggable)}
    else:
        told = {name: outcome.metadata[name] for name in _TOLD if name in outcome.metadata}
        if not told:
            return None
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=CHECK_NAME,
        partition=study_key,
        passed=not isinstance(outcome, Failure),
        metadata=told,
        target_materialization_data=_newest(instance, key, study_key),
    )


def _newest(
    instance: dg.DagsterInstance, key: dg.AssetKey, study_key: str
) -> AssetCheckEvaluationTargetMaterializationData | None:
    """Return which materialization a check is about; Dagster shows no check of an older one."""
    wanted = dg.AssetRecordsFilter(key, asset_partitions=[study_key])
    for record in instance.fetch_materializations(wanted, limit=1).records:
        return AssetCheckEvaluationTargetMaterializationData(
            storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
        )
    return None
