"""What the Dagster UI sees: GraphQL, in this process or from a web server."""

import json
import sys
import urllib.request
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


def ask_server(url: str, query: str, **variables: Any) -> Any:
    """Return a web server's answer to a query.

    Raises:
        OSError: The server doesn't answer.
    """
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        told = json.load(answer)
    assert "errors" not in told, told
    return told["data"]
