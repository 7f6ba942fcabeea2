"""The contexts that IO managers get for one study of a run.

``dg.build_output_context`` and ``dg.build_input_context`` make an in-memory Dagster instance, with
its database migrations, unless they get the resources of a run: 80 ms of CPU for each artifact.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from orch_assets.defs.dagster_internals import KeyRangeNoPartitionsDefPartitionsSubset


def output_context(
    resources: Any,
    run_id: str,
    key: dg.AssetKey,
    study_key: str,
    definition_metadata: Mapping[str, Any],
) -> dg.OutputContext:
    """Return the context to store one study's result with.

    Args:
        resources: the run's own, ``context.resources``.
        run_id: the run.
        key: the asset.
        study_key: the partition.
        definition_metadata: metadata of the asset's definition.
    """
    return dg.build_output_context(
        name="result",
        asset_key=key,
        partition_key=study_key,
        run_id=run_id,
        resources=resources,
        definition_metadata=definition_metadata,
    )


def input_context(
    resources: Any,
    log: dg.DagsterLogManager,
    key: dg.AssetKey,
    study_key: str,
    python_type: type,
) -> dg.InputContext:
    """Return the context to load one study's result with, as a Python type.

    ``dg.build_input_context`` takes no run's resources, so the class itself does it.
    """
    return dg.InputContext(
        name=key.path[-1],
        asset_key=key,
        partition_key=study_key,
        asset_partitions_subset=KeyRangeNoPartitionsDefPartitionsSubset(
            dg.PartitionKeyRange(study_key, study_key)
        ),
        dagster_type=dg.PythonObjectDagsterType(python_type),
        resources=resources,
        log_manager=log,
    )
