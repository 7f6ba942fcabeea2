"""The check ``reconciled``: whether a study's table arrived complete."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import dagster as dg

from orch_assets.defs.dagster_internals import AssetCheckEvaluationTargetMaterializationData
from orch_assets.defs.partitions import study_check_spec
from orch_assets.defs.runs.earlier_results import newest_materializations
from orch_assets.errors import IncompleteTableError, TableChangedError
from orch_assets.orchestration.reporting.results import Failure

CHECK_NAME: Final = "reconciled"

_DESCRIPTION: Final = (
    "Whether iMednet returned as many rows as it counts at the start and at the end of the "
    "download, each with a unique ID. A table that fails is not stored."
)
# Metadata of the materialization that the check repeats.
_COUNTS: Final = ("expected", "arrived", "pages", "retries", "replaced_surrogates")
_INCOMPLETE: Final = frozenset({IncompleteTableError.__name__, TableChangedError.__name__})


def check_spec(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the check for one table."""
    return study_check_spec(CHECK_NAME, key, _DESCRIPTION)


@dataclass
class ReconciliationChecks:
    """Evaluates the check for the results of a run.

    An evaluation must name the materialization that it refers to: Dagster shows only a check of the
    newest one. Looking it up takes two SQL statements, so that is done for many studies together,
    after they were logged.

    Attributes:
        instance: Holds the materializations.
    """

    instance: dg.DagsterInstance
    _passed: dict[dg.AssetKey, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def add(self, event: dg.AssetMaterialization) -> None:
        """Add a success that the run has just logged, if its metadata has counts of a reading."""
        counts = {name: event.metadata[name] for name in _COUNTS if name in event.metadata}
        if counts and event.partition is not None:
            self._passed.setdefault(event.asset_key, {})[event.partition] = counts

    def passed(self) -> Iterator[dg.AssetCheckEvaluation]:
        """Yield the evaluations of the successes added since the last call."""
        while self._passed:
            key, studies = self._passed.popitem()
            targets = self._targets(key, studies)
            for study_key, counts in studies.items():
                yield _evaluation(key, study_key, counts, targets.get(study_key), passed=True)

    def failed(
        self, key: dg.AssetKey, study_key: str, cause: Failure
    ) -> dg.AssetCheckEvaluation | None:
        """Return the evaluation of a failure; None if it says nothing about the table.

        That is so if the pipeline failed before or after the reading.
        """
        if cause.kind not in _INCOMPLETE:
            return None
        error = {"error": dg.MetadataValue.text(cause.loggable)}
        target = self._targets(key, [study_key]).get(study_key)
        return _evaluation(key, study_key, error, target, passed=False)

    def _targets(
        self, key: dg.AssetKey, study_keys: Iterable[str]
    ) -> dict[str, AssetCheckEvaluationTargetMaterializationData]:
        """Return the newest materialization of each study, which another run may have logged."""
        return {
            study_key: AssetCheckEvaluationTargetMaterializationData(
                storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
            )
            for study_key, record in newest_materializations(self.instance, key, study_keys)
        }


def _evaluation(
    key: dg.AssetKey,
    study_key: str,
    metadata: dict[str, Any],
    target: AssetCheckEvaluationTargetMaterializationData | None,
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
