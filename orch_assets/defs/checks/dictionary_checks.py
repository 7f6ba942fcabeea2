"""The checks of the table ``variables``, which a run evaluates at its end."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from orch_assets.defs.checks import blinding_check as blinding
from orch_assets.defs.checks import drift_check
from orch_assets.defs.checks.dictionary_watch import DictionaryWatch
from orch_assets.defs.checks.drift_check import VARIABLES
from orch_assets.defs.checks.drift_modes import DriftModes
from orch_assets.defs.checks.reconciliation_check import latest_target
from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets.orchestration.pipeline import StudyPipeline
from orch_assets.orchestration.reporting.failure_summary import FailedStep
from orch_assets.orchestration.reporting.results import describe_failure

if TYPE_CHECKING:
    from orch_assets.stores.maintenance.blinded_since import BlindedSince


def warn_of_unknown_studies(context: dg.AssetExecutionContext, modes: DriftModes) -> None:
    """Log a warning if the modes name studies that don't exist: others may be meant."""
    if not modes.by_study:
        return
    known = context.instance.get_dynamic_partitions(STUDIES_NAME)
    if unknown := sorted(set(modes.by_study) - set(known)):
        context.log.warning("ORCH_DRIFT names studies that don't exist: %s", ", ".join(unknown))


@dataclass(frozen=True)
class DictionaryChecks:
    """Evaluates the checks of a run's studies.

    Attributes:
        context: Logs warnings.
        add: Adds an evaluation to what is to be logged.
        keys: Asset keys, by pipeline name.
        pipelines: The pipelines of the graph; one of them is ``variables``.
        watch: What the run found in the dictionaries.
    """

    context: dg.AssetExecutionContext
    add: Callable[[dg.AssetCheckEvaluation], None]
    keys: Mapping[str, dg.AssetKey]
    pipelines: Sequence[StudyPipeline]
    watch: DictionaryWatch

    def add_all(
        self,
        steps: Mapping[str, Collection[str]],
        failed: Mapping[str, Sequence[FailedStep]],
    ) -> None:
        """Add the evaluations of each study whose dictionary was to be read.

        Args:
            steps: Pipelines that the run ran, by study.
            failed: Those that failed, by study.
        """
        for study_key, names in steps.items():
            if VARIABLES not in names:
                continue
            pipelines = [each.pipeline for each in failed.get(study_key, ())]
            try:
                for evaluation in self.evaluations(study_key, pipelines):
                    self.add(evaluation)
            except Exception as error:  # noqa: BLE001 - the results are logged; only checks are lost
                reason = describe_failure(error).loggable
                self.context.log.warning("Study %s, dictionary checks: %s", study_key, reason)

    def evaluations(
        self, study_key: str, failed: Collection[str]
    ) -> Iterator[dg.AssetCheckEvaluation]:
        """Yield the evaluations of a study whose dictionary was to be read.

        Args:
            study_key: The study.
            failed: Its pipelines that failed.
        """
        key, drift = self.keys[VARIABLES], self.watch.of(study_key)
        was_stored = VARIABLES not in failed
        if not (was_stored or drift.held):
            return  # the dictionary couldn't be read
        versions = self._blinded_since(study_key) if was_stored else None
        if versions is not None:
            yield blinding.evaluation(key, study_key, versions)
        yield drift_check.evaluation(
            key,
            study_key,
            drift,
            self.watch.modes.of(study_key),
            blinding.metadata_of(versions or []),
            None if was_stored else latest_target(self.context.instance, key, study_key),
        )

    def _blinded_since(self, study_key: str) -> "list[BlindedSince] | None":
        """Return the study's versions with values blinded since; None if the store isn't ours."""
        if self.watch.store is None:
            return None
        own = next(each for each in self.pipelines if each.name == VARIABLES)
        in_same_store = [e.name for e in self.pipelines if e.io_manager_key == own.io_manager_key]
        names = [self.watch.artifact(name, study_key) for name in in_same_store]
        return self.watch.store().blinded_since(names)
