"""The check ``blinded_since``: whether stored versions hold values that must now be withheld.

It is a check of the table ``variables``. It is evaluated at the end of each run that refreshes this
table: by then the run has rebuilt its own tables with the new dictionary, so the versions found are
older ones, or belong to pipelines that weren't run.
"""

from collections.abc import Iterable
from typing import Any, Final

import dagster as dg

from orch_assets.defs.io.artifact_names import artifact_name
from orch_assets.defs.io.io_manager import PipelineIOManager
from orch_assets.defs.partitions import study_check_spec

DICTIONARY: Final = "variables"
CHECK_NAME: Final = "blinded_since"

_DESCRIPTION: Final = (
    "Whether the open store holds versions written before one of their variables was blinded. "
    "Rebuild the current ones, then remove the older ones with `retain`."
)
# The metadata lists at most this many versions.
_MAX_URIS: Final = 50


def check_spec(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the check of the table ``variables``."""
    return study_check_spec(CHECK_NAME, key, _DESCRIPTION)


def evaluation(
    io_manager: Any, key: dg.AssetKey, assets: Iterable[dg.AssetKey], study_key: str
) -> dg.AssetCheckEvaluation | None:
    """Evaluate the check for a study's stored versions.

    Args:
        io_manager: The IO manager of the open artifacts.
        key: The table ``variables``.
        assets: The assets whose artifacts are checked.
        study_key: The study.

    Returns:
        The evaluation; None if the IO manager isn't one of this package.
    """
    if not isinstance(io_manager, PipelineIOManager):
        return None
    names = [artifact_name(each, study_key) for each in assets]
    versions = io_manager.pipeline_store().blinded_since(names)
    variables = len({variable for each in versions for variable in each.variables})
    metadata = {
        "versions": dg.MetadataValue.int(len(versions)),
        "variables": dg.MetadataValue.int(variables),
        "uris": dg.MetadataValue.json([each.uri for each in versions[:_MAX_URIS]]),
        "artifacts": dg.MetadataValue.json(sorted({each.artifact for each in versions})),
        "current": dg.MetadataValue.int(sum(each.is_current for each in versions)),
    }
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=CHECK_NAME,
        partition=study_key,
        passed=not versions,
        severity=dg.AssetCheckSeverity.WARN,
        description=_description(len(versions), variables) if versions else None,
        metadata=metadata if versions else {"versions": metadata["versions"]},
    )


def _description(versions: int, variables: int) -> str:
    """Describe the finding without the names of the variables, which are no longer open."""
    stored = "1 stored version" if versions == 1 else f"{versions} stored versions"
    blinded = "a variable" if variables == 1 else f"{variables} variables"
    return (
        f"{stored} may hold values of {blinded} blinded since; store.blinded_since() names them. "
        "Rebuild the current versions, then remove the older ones with store.retain(keep_last=1)."
    )
