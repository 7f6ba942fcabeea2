"""Names of artifacts for assets and their partitions."""

import re

import dagster as dg


def artifact_name(key: dg.AssetKey, partition: str | None) -> str:
    """Return the artifact's name of an asset's partition; different for different ones.

    It is ``<asset>``, ``<asset>/<partition>``, or ``<asset>/<key>/<key>`` with a key for each
    dimension in order of their names. The parts of an asset's key are joined by a dot, since the
    partition ``b`` of ``a`` is another artifact than the asset ``a/b``. What would be mistaken for
    such a joint is written as in a URL: ``2024/01`` as ``2024%2F01``, in an asset's key also
    ``v1.2`` as ``v1%2E2``.
    """
    asset = ".".join(_quoted(part, "/.") for part in key.path)
    if asset.startswith("~"):
        asset = f"%7E{asset[1:]}"  # what is not an asset's is there
    if partition is None:
        return asset
    return "/".join([asset, *map(_quoted, dimension_keys(partition).values())])


def op_output_name(context: dg.OutputContext) -> str:
    """Return the artifact's name of an output that is no asset's, as between ops of a graph.

    It is ``~ops/<run>/<step>/<output>``, which no asset's artifact can be called.
    """
    return "/".join(["~ops", *map(_quoted, context.get_identifier())])


def _quoted(part: str, characters: str = "/") -> str:
    if part in {".", ".."}:
        characters += "."
    # A percent sign is plain text where it doesn't read as one of ours.
    ours = rf"%(?=25|2F|2E|7E)|[{re.escape(characters)}]"
    return re.sub(ours, lambda found: f"%{ord(found[0]):02X}", part)


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
