"""Names of artifacts for assets and their partitions."""

import dagster as dg

from orch_assets.stores.names import encode_part


def artifact_name(key: dg.AssetKey, partition: str | None) -> str:
    """Return the artifact's name of an asset's partition; different for different ones.

    It is ``<asset>``, ``<asset>/<partition>``, or ``<asset>/<key>/<key>`` with a key for each
    dimension in order of their names. The parts of an asset's key are joined by a dot, since the
    partition ``b`` of ``a`` is another artifact than the asset ``a/b``.
    """
    asset = ".".join(map(encode_part, key.path))
    if partition is None:
        return asset
    return "/".join([asset, *map(encode_part, dimension_keys(partition).values())])


def op_output_name(context: dg.OutputContext) -> str:
    """Return the artifact's name of an output that is no asset's, as between ops of a graph.

    It is ``~ops/<run>/<step>/<output>``, which no asset's artifact can be called.
    """
    return "/".join(["~ops", *map(encode_part, context.get_identifier())])


def dimension_keys(partition: str) -> dict[str, str]:
    """Return a partition's key in each dimension, by the dimension's name; ``""`` if it has one."""
    if isinstance(partition, dg.MultiPartitionKey):
        return dict(sorted(partition.keys_by_dimension.items()))
    return {"": partition}


def partition_keys(context: dg.InputContext | dg.OutputContext) -> list[str]:
    """Return the partitions that are stored or asked for, those of several dimensions parsed.

    Sorted: Dagster's own order differs from run to run, and the same table must be the same bytes.
    """
    known = _partitions_def(context)
    keys = sorted(context.asset_partition_keys)
    if isinstance(known, dg.MultiPartitionsDefinition):
        return [known.get_partition_key_from_str(key) for key in keys]
    return keys


def _partitions_def(
    context: dg.InputContext | dg.OutputContext,
) -> "dg.PartitionsDefinition[str] | None":
    try:
        return context.asset_partitions_def
    except Exception:  # noqa: BLE001 - a context built for one study has none, and says so in many ways
        return None


def key_columns(context: dg.InputContext, partition: str) -> dict[str, str]:
    """Return what the columns of a partition's key are called in a table of many partitions."""
    keys = dimension_keys(partition)
    if "" not in keys:
        return keys
    name = getattr(_partitions_def(context), "name", None)
    return {"study_key" if name == "studies" else "partition_key": keys[""]}
