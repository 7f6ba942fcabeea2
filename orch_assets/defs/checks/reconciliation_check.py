"""The check ``reconciled``: whether a study's table arrived complete."""

from typing import Any, Final

import dagster as dg

from orch_assets.defs.dagster_internals import (
    AssetCheckEvaluationTargetMaterializationData as Target,
)
from orch_assets.defs.io.event_metadata import REFRESH, ROW_COUNT, value_of
from orch_assets.defs.partitions import study_check_spec
from orch_assets.errors import IncompleteTableError, TableChangedError
from orch_assets.orchestration.reporting.results import Failure
from orch_assets.refreshing import COUNTED

CHECK_NAME: Final = "reconciled"

_DESCRIPTION: Final = (
    "Whether iMednet returned as many rows as it counts at the start and at the end of the "
    "download, each with a unique ID. If only what changed was read, whether the rows of the "
    "merged or unchanged table are as many as iMednet counts. A table that fails is not stored."
)
# Metadata of the materialization that the check repeats.
_COUNTS: Final = ("expected", "arrived", "pages", "retries", "replaced_surrogates")
_INCOMPLETE: Final = frozenset({IncompleteTableError.__name__, TableChangedError.__name__})


def check_spec(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the check for one table."""
    return study_check_spec(CHECK_NAME, key, _DESCRIPTION)


def passed(event: dg.AssetMaterialization, target: Target | None) -> dg.AssetCheckEvaluation | None:
    """Return the evaluation of a success; None if its metadata has no counts of a reading.

    A table that was read whole passed while it was read. Of one that was refreshed, the stored rows
    are compared with the API's count.

    Args:
        event: The materialization.
        target: The materialization as stored. Dagster shows only a check of the newest one.
    """
    shown = {name: event.metadata[name] for name in _COUNTS if name in event.metadata}
    if not shown:
        return None
    rows, complete = value_of(event.metadata, ROW_COUNT), True
    if value_of(event.metadata, REFRESH) == COUNTED:
        shown = {REFRESH: event.metadata[REFRESH], "rows": dg.MetadataValue.int(rows), **shown}
        complete = rows == value_of(event.metadata, "expected")
    return _evaluation(event.asset_key, str(event.partition), shown, target, passed=complete)


def failed(
    instance: dg.DagsterInstance, key: dg.AssetKey, study_key: str, cause: Failure
) -> dg.AssetCheckEvaluation | None:
    """Return the evaluation of a failure; None if it says nothing about the table.

    That is so if the pipeline failed before or after the reading. The check is shown at the study's
    newest materialization, which an earlier run logged.
    """
    if cause.kind not in _INCOMPLETE:
        return None
    error = {"error": dg.MetadataValue.text(cause.loggable)}
    return _evaluation(key, study_key, error, latest_target(instance, key, study_key), passed=False)


def latest_target(instance: dg.DagsterInstance, key: dg.AssetKey, study_key: str) -> Target | None:
    """Return the newest materialization of a study; None without one."""
    from orch_assets.defs.runs.earlier_results import newest_materializations  # a run needs it

    for _, record in newest_materializations(instance, key, [study_key]):
        return Target(
            storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
        )
    return None


def _evaluation(
    key: dg.AssetKey,
    study_key: str,
    metadata: dict[str, Any],
    target: Target | None,
    *,
    passed: bool,
) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=CHECK_NAME,
        partition=study_key,
        passed=passed,
        metadata=metadata,
        target_materialization_data=target,
    )
