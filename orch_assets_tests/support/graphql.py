"""What the Dagster UI sees: GraphQL over an instance and a code location, in this process."""

import sys
from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.test_utils import in_process_test_workspace
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

_STATS = """
query Stats($path: [String!]!) {
  assetNodes(assetKeys: [{path: $path}]) {
    partitionStats { numPartitions numMaterialized numFailed numMaterializing }
  }
}
"""


def ask(
    real: dg.DagsterInstance,
    module: str,
    query: str,
    variables: Mapping[str, Any],
    *,
    attribute: str = "defs",
) -> Mapping[str, Any]:
    """Return the answer to a query; the code location is a module's attribute."""
    from dagster_graphql.test.utils import execute_dagster_graphql

    origin = LoadableTargetOrigin(
        executable_path=sys.executable, module_name=module, attribute=attribute
    )
    with in_process_test_workspace(real, origin) as context:
        return execute_dagster_graphql(context, query, variables).data


def partition_stats(
    real: dg.DagsterInstance, module: str, asset: str, *, attribute: str = "defs"
) -> dict[str, int]:
    """Return how many partitions of an asset are in which state."""
    answer = ask(real, module, _STATS, {"path": [asset]}, attribute=attribute)
    (node,) = answer["assetNodes"]
    stats: dict[str, int] = node["partitionStats"]
    return stats
