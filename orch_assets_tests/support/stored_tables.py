"""What stores have of a study, and whether it is whole."""

from collections.abc import Iterable, Mapping

import pyarrow as pa

from orch_assets.stores import ArtifactKind, PipelineStore
from orch_assets.stores.maintenance.verification import Problem

Tables = dict[tuple[str, ...], pa.Table]


def stored_tables(
    stores: Mapping[str, PipelineStore], assets: Iterable[str], study_key: str
) -> Tables:
    """Return the current tables by the store's name, the asset and, of a set, the member."""
    names, found = list(assets), Tables()
    for name, store in stores.items():
        for asset in names:
            artifact = f"{asset}/{study_key}"
            if store.exists(artifact):
                found[name, asset] = store.download_table(artifact)
            if store.exists(artifact, kind=ArtifactKind.SET):
                for member, table in store.download_set_tables(artifact).items():
                    found[name, asset, member] = table
    return found


def lasting_problems(store: PipelineStore) -> list[Problem]:
    """Return what ``verify`` finds, except what a killed publisher announced lately."""
    return [each for each in store.verify() if "/readable/begun-" not in each.uri]
