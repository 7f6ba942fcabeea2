"""What a code location's definitions say about its study graphs."""

from collections.abc import Iterator

import dagster as dg

from orch_assets.defs.discovery import broken_reason
from orch_assets.defs.graph import is_study_graph


def graph_keys_of(defs: dg.Definitions) -> set[dg.AssetKey]:
    """Return the keys of the pipelines' assets."""
    return {key for graph in graphs_of(defs) for key in graph.keys}


def broken_of(defs: dg.Definitions) -> dict[str, str]:
    """Return the reasons why pipelines are broken, by name. Each fails for every study."""
    reasons = {
        spec.key.to_user_string(): broken_reason(spec)
        for graph in graphs_of(defs)
        for spec in graph.specs
    }
    return {name: reason for name, reason in reasons.items() if reason is not None}


def graphs_of(defs: dg.Definitions) -> Iterator[dg.AssetsDefinition]:
    """Yield the study graphs."""
    for asset in defs.assets or ():
        if isinstance(asset, dg.AssetsDefinition) and is_study_graph(asset):
            yield asset
