"""Studies that a command is given by name."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import dagster as dg


def require_known(
    instance: "dg.DagsterInstance", study_keys: Iterable[str], outcome: str
) -> list[str]:
    """Return all known studies, which are the partitions of the instance.

    Args:
        instance: Dagster's instance.
        study_keys: Those that must be among them.
        outcome: What the command has not done, such as ``Nothing was marked.``

    Raises:
        click.BadParameter: A study isn't known. The message names the most similar one.
    """
    from orch_assets.defs.partitions import STUDIES_NAME
    from orch_assets.orchestration.defining.similar_names import closest_key, did_you_mean

    known = list(instance.get_dynamic_partitions(STUDIES_NAME))
    for key in study_keys:
        if key not in known:
            hint = did_you_mean(closest_key(key, known))
            raise click.BadParameter(f"{key} is not a known study.{hint} {outcome}")
    return known
