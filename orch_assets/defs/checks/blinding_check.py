"""The check ``blinded_since``: whether stored versions hold values that must now be withheld.

It is a check of the table ``variables``. It is evaluated at the end of each run that refreshes this
table: by then the run has rebuilt its own tables with the new dictionary, so the versions found are
older ones, or belong to pipelines that weren't run.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from orch_assets.defs.partitions import study_check_spec

if TYPE_CHECKING:
    from orch_assets.stores.maintenance.blinded_since import BlindedSince

CHECK_NAME: Final = "blinded_since"

_DESCRIPTION: Final = (
    "Whether the open store holds versions written before one of their variables was blinded. "
    "Run the pipelines of the current ones again, then use `orch-assets redact`."
)
# The metadata lists at most this many versions.
_MAX_URIS: Final = 50


def check_spec(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the check of the table ``variables``."""
    return study_check_spec(CHECK_NAME, key, _DESCRIPTION)


def evaluation(
    key: dg.AssetKey, study_key: str, versions: "Sequence[BlindedSince]"
) -> dg.AssetCheckEvaluation:
    """Evaluate the check for a study.

    Args:
        key: The table ``variables``.
        study_key: The study.
        versions: Its stored versions with values blinded since.
    """
    metadata = metadata_of(versions)
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=CHECK_NAME,
        partition=study_key,
        passed=not versions,
        severity=dg.AssetCheckSeverity.WARN,
        description=_description(versions) if versions else None,
        metadata=metadata if versions else {"versions": metadata["versions"]},
    )


def metadata_of(versions: "Sequence[BlindedSince]") -> Mapping[str, Any]:
    """Return what an event says of versions with values blinded since: no variable's name."""
    variables = {variable for each in versions for variable in each.variables}
    return {
        "versions": dg.MetadataValue.int(len(versions)),
        "variables": dg.MetadataValue.int(len(variables)),
        "uris": dg.MetadataValue.json([each.uri for each in versions[:_MAX_URIS]]),
        "artifacts": dg.MetadataValue.json(sorted({each.artifact for each in versions})),
        "current": dg.MetadataValue.int(sum(each.is_current for each in versions)),
    }


def _description(versions: "Sequence[BlindedSince]") -> str:
    """Describe the finding without the names of the variables, which are no longer open."""
    variables = len({variable for each in versions for variable in each.variables})
    stored = "1 stored version" if len(versions) == 1 else f"{len(versions)} stored versions"
    blinded = "a variable" if variables == 1 else f"{variables} variables"
    return (
        f"{stored} may hold values of {blinded} blinded since; store.blinded_since() names them. "
        "Run the pipelines of the current ones again, then use `orch-assets redact`."
    )
