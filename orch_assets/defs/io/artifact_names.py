"""Artifact names of assets, their partitions, and outputs of ops."""

import re

import dagster as dg


def artifact_name(key: dg.AssetKey, partition: str | None) -> str:
    """Return the artifact name of an asset or of one of its partitions. Names are unique.

    The name is ``<asset>``, ``<asset>/<partition>``, or ``<asset>/<key>/<key>`` with one key for
    each dimension, in order of the dimensions' names. The parts of an asset key are joined by a
    dot, because the partition ``b`` of ``a`` and the asset ``a/b`` are different artifacts.
    Characters that could be mistaken for such a separator are percent-encoded: ``2024/01`` becomes
    ``2024%2F01``; in an asset key, ``v1.2`` also becomes ``v1%2E2``.
    """
    asset = ".".join(_quoted(part, "/.") for part in key.path)
    if asset.startswith("~"):
        asset = f"%7E{asset[1:]}"  # ~ is reserved for artifacts that are not assets
    if partition is None:
        return asset
    return "/".join([asset, *map(_quoted, dimension_keys(partition).values())])


def op_output_name(context: dg.OutputContext) -> str:
    """Return the artifact name of an output that is not an asset, such as between ops of a graph.

    The name is ``~ops/<run>/<step>/<output>``, which no asset's artifact can have.
    """
    return "/".join(["~ops", *map(_quoted, context.get_identifier())])


def _quoted(part: str, characters: str = "/") -> str:
    if part in {".", ".."}:
        characters += "."
    # A percent sign is encoded only if it would read as one of these escapes.
    pattern = rf"%(?=25|2F|2E|7E)|[{re.escape(characters)}]"
    return re.sub(pattern, lambda match: f"%{ord(match[0]):02X}", part)


def dimension_keys(partition: str) -> dict[str, str]:
    """Return a partition's keys by dimension name; with one dimension, the name is ``""``."""
    if isinstance(partition, dg.MultiPartitionKey):
        return dict(sorted(partition.keys_by_dimension.items()))
    return {"": partition}


def partition_keys(context: dg.InputContext | dg.OutputContext) -> list[str]:
    """Return the keys of the partitions to store or load; multi-dimensional keys are parsed.

    The keys are sorted. Dagster's order differs from run to run, and the same table must have the
    same bytes each time.
    """
    partitions_def = _partitions_def(context)
    keys = sorted(context.asset_partition_keys)
    if isinstance(partitions_def, dg.MultiPartitionsDefinition):
        return [partitions_def.get_partition_key_from_str(key) for key in keys]
    return keys


def _partitions_def(
    context: dg.InputContext | dg.OutputContext,
) -> "dg.PartitionsDefinition[str] | None":
    try:
        return context.asset_partitions_def
    except Exception:  # noqa: BLE001 - a context for one study has none, and raises various errors
        return None


def key_columns(context: dg.InputContext, partition: str) -> dict[str, str]:
    """Return the key columns of a partition in a table of many partitions, with their values."""
    keys = dimension_keys(partition)
    if "" not in keys:
        return keys
    name = getattr(_partitions_def(context), "name", None)
    return {"study_key" if name == "studies" else "partition_key": keys[""]}
