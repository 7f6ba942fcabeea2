"""The check ``dictionary``: whether a study's data dictionary changed since it was last stored.

It is a check of the table ``variables``, evaluated at the end of each run that reads this table.
"""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from orch_assets.defs.checks.drift_modes import DriftMode
from orch_assets.defs.partitions import study_check_spec
from orch_assets.imednet.dictionary.dictionary_changes import BLINDED

if TYPE_CHECKING:
    from orch_assets.defs.checks.dictionary_watch import Drift
    from orch_assets.defs.dagster_internals import (
        AssetCheckEvaluationTargetMaterializationData as Target,
    )

# The table whose check it is.
VARIABLES: Final = "variables"
CHECK_NAME: Final = "dictionary"

_DESCRIPTION: Final = (
    "Whether the study's variables and forms are those of the stored dictionary. ORCH_DRIFT says "
    "what a change does: it is applied (`evolve`), the check fails (`warn`), or the study fails "
    "(`freeze`). A newly blinded variable fails the check in any case."
)
# The metadata lists at most this many changes.
_MAX_CHANGES: Final = 50


def check_spec(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the check of the table ``variables``."""
    return study_check_spec(CHECK_NAME, key, _DESCRIPTION)


def evaluation(
    key: dg.AssetKey,
    study_key: str,
    drift: "Drift",
    mode: DriftMode,
    blinded_versions: Mapping[str, Any],
    target: "Target | None",
) -> dg.AssetCheckEvaluation:
    """Evaluate the check for a study.

    Args:
        key: The table ``variables``.
        study_key: The study.
        drift: What this run found.
        mode: What a change does to the study.
        blinded_versions: Metadata about the open versions made before a variable was blinded; shown
            if one was blinded in this run.
        target: The materialization that the check is shown at; None for the newest.
    """
    has_blinding = any(each.kind == BLINDED for each in drift.changes)
    passed = not (drift.held or has_blinding or (drift.changes and mode == DriftMode.WARN))
    metadata: dict[str, Any] = {"changes": len(drift.changes), "mode": mode.value}
    if drift.changes:
        kinds = Counter(f"{each.what} {each.kind}" for each in drift.changes)
        metadata["kinds"] = dg.MetadataValue.json(dict(sorted(kinds.items())))
        metadata["changed"] = dg.MetadataValue.json(list(drift.texts[:_MAX_CHANGES]))
    if drift.held:
        metadata["held"] = dg.MetadataValue.json(list(drift.held[:_MAX_CHANGES]))
    if has_blinding:
        metadata.update(blinded_versions)
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=CHECK_NAME,
        partition=study_key,
        passed=passed,
        severity=dg.AssetCheckSeverity.ERROR if drift.held else dg.AssetCheckSeverity.WARN,
        description=_description(drift, has_blinding=has_blinding) if drift.changes else None,
        metadata=metadata,
        target_materialization_data=target,
    )


def _description(drift: "Drift", *, has_blinding: bool) -> str:
    """Describe the changes without names; the metadata has those that may be shown."""
    number = len(drift.changes)
    sentences = [f"{number} change{'' if number == 1 else 's'} of the data dictionary."]
    if drift.held:
        sentences.append(f"{len(drift.held)} not applied, because the study is frozen.")
    if has_blinding:
        sentences.append(
            "A variable was blinded: the metadata lists the open versions that may still hold its "
            "values. Run their pipelines again, then use `orch-assets redact`."
        )
    return " ".join(sentences)
