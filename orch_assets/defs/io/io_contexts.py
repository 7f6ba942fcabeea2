"""Contexts with which IO managers store or load the result of one study.

Without the resources of a run, ``dg.build_output_context`` and ``dg.build_input_context`` create an
in-memory Dagster instance and run its database migrations. That takes 80 ms of CPU per artifact.
"""

from collections.abc import Mapping
from typing import Any, Final

import dagster as dg

from orch_assets.defs.dagster_internals import KeyRangeNoPartitionsDefPartitionsSubset

# In an input's metadata: the versions to load instead of the current ones, by artifact URI.
VERSIONS: Final = "orch_assets/versions"


def output_context(
    resources: Any,
    run_id: str,
    key: dg.AssetKey,
    study_key: str,
    definition_metadata: Mapping[str, Any],
) -> dg.OutputContext:
    """Return the context for storing one study's result.

    Args:
        resources: Resources of the run, ``context.resources``.
        run_id: ID of the run.
        key: Key of the asset.
        study_key: Key of the study, which is the partition.
        definition_metadata: Metadata of the asset's definition.
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
    versions: Mapping[str, str] | None = None,
) -> dg.InputContext:
    """Return the context for loading one study's result as a Python type.

    ``dg.build_input_context`` doesn't accept the resources of a run, so this function creates the
    context itself. With ``versions`` (by artifact URI), an IO manager of this package loads the
    version among these instead of the current one.
    """
    return dg.InputContext(
        name=key.path[-1],
        definition_metadata={VERSIONS: versions} if versions else None,
        asset_key=key,
        partition_key=study_key,
        asset_partitions_subset=KeyRangeNoPartitionsDefPartitionsSubset(
            dg.PartitionKeyRange(study_key, study_key)
        ),
        dagster_type=dg.PythonObjectDagsterType(python_type),
        resources=resources,
        log_manager=log,
    )
