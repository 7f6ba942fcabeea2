"""Which artifacts of a restricted store are failure reports, and old."""

import re
from collections.abc import Collection, Iterable
from datetime import datetime
from itertools import chain
from typing import Final

from orch_assets.stores.maintenance.inventory import ArtifactObjects
from orch_assets.stores.maintenance.surplus_manifests import newest_moment

# As a run names them: its ID, the pipeline and the study. No pipeline's artifact has four parts.
_REPORT: Final = re.compile(r"failures/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/[^/]+/[^/]+")


def old_reports(
    artifacts: Iterable[ArtifactObjects], before: datetime | None, kept_runs: Collection[str]
) -> list[ArtifactObjects]:
    """Return the failure reports that were written before a moment.

    Args:
        artifacts: The artifacts of the store.
        before: The moment; None keeps all of them.
        kept_runs: IDs of the runs whose reports stay.
    """
    if before is None:
        return []
    return [
        each
        for each in artifacts
        if each.keys.kind == "json"
        and (match := _REPORT.fullmatch(each.keys.name))
        and match[1] not in kept_runs
        and newest_moment([*chain.from_iterable(each.manifests.values())]) < before
    ]
