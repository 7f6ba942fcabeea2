"""The check ``blinded_since``: do stored versions hold values that are withheld by now?

It is of the table ``variables``, and evaluated at the end of each run that reads it anew: by then
what the run makes is made by the new dictionary, and what is left is older, or wasn't run.
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
    "Whether open versions are stored that were made while a variable was open that is withheld by "
    "now. Make anew what is current, then remove the older ones with `retain`."
)
_NAMED: Final = 50


def check_spec(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the check of the table ``variables``."""
    return study_check_spec(CHECK_NAME, key, _DESCRIPTION)


def evaluation(
    io_manager: Any, key: dg.AssetKey, assets: Iterable[dg.AssetKey], study_key: str
) -> dg.AssetCheckEvaluation | None:
    """Return what a study's stored versions say; None where an IO manager of the user's has them.

    Args:
        io_manager: has the open artifacts.
        key: the table ``variables``.
        assets: whose artifacts are looked at.
        study_key: the study.
    """
    if not isinstance(io_manager, PipelineIOManager):
        return None
    names = [artifact_name(each, study_key) for each in assets]
    found = io_manager.pipeline_store().blinded_since(names)
    variables = len({variable for each in found for variable in each.variables})
    told = {
        "versions": dg.MetadataValue.int(len(found)),
        "variables": dg.MetadataValue.int(variables),
        "uris": dg.MetadataValue.json([each.uri for each in found[:_NAMED]]),
        "artifacts": dg.MetadataValue.json(sorted({each.artifact for each in found})),
        "current": dg.MetadataValue.int(sum(each.is_current for each in found)),
    }
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=CHECK_NAME,
        partition=study_key,
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        description=_sentence(len(found), variables) if found else None,
        metadata=told if found else {"versions": told["versions"]},
    )


def _sentence(versions: int, variables: int) -> str:
    """Say what is found; the variables aren't open any more, so an event doesn't name them."""
    what = "1 stored version" if versions == 1 else f"{versions} stored versions"
    blinded = "a variable" if variables == 1 else f"{variables} variables"
    return (
        f"{what} may hold values of {blinded} blinded since; store.blinded_since() names them. "
        "Make anew what is current, then remove what is older: store.retain(keep_last=1)."
    )
