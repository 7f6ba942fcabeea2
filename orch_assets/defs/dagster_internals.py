"""Everything that this package uses of Dagster beyond its public API.

No other module imports private names of Dagster. A comment at each name says which gap in the
public API it fills. Private names may change in any release, so a test imports and uses each one
with the lowest and the newest release that pyproject.toml allows: if an upgrade breaks a name, that
test fails and shows which one.
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

# Resources without launch configuration: `configured()` is public, but the fields and their values
# remain visible.
from dagster._config.pythonic_config.io_manager import (
    ConfigurableIOManagerFactoryResourceDefinition,
)
from dagster._config.pythonic_config.resource import (
    ConfigurableResourceFactory,
    ConfigurableResourceFactoryResourceDefinition,
)
from dagster._config.validate import process_config

# A check of a past materialization: `AssetCheckEvaluation` takes this, and no public function
# creates it.
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)

# A run that is created first and then executed in this process: `execute_in_process` creates runs
# without an origin, which the UI needs to find the job to re-execute.
from dagster._core.definitions.job_base import InMemoryJob

# The type that `define_asset_job` returns has no public name.
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

# Closing a run whose process is gone, so that no daemon retries it: `report_run_failed` is public,
# but the reason that it takes isn't.
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.execution.api import execute_run

# The input of one partition: `build_input_context` can't take the resources of a run, and creates
# an instance.
from dagster._core.execution.context.input import KeyRangeNoPartitionsDefPartitionsSubset

# A job's origin; see `InMemoryJob`.
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

# Unfinished runs: the single statuses are public, but a list of them would miss a new one.
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

# Creating a resource's definition only once: Dagster identifies nested resources by it.
from dagster._utils.cached_method import cached_method

# Cleaning up when a run is interrupted: no public function holds back a second interrupt.
from dagster._utils.interrupts import capture_interrupts

__all__ = [
    "NOT_FINISHED_STATUSES",
    "AssetCheckEvaluationTargetMaterializationData",
    "ConfigurableIOManagerFactoryResourceDefinition",
    "ConfigurableResourceFactory",
    "ConfigurableResourceFactoryResourceDefinition",
    "InMemoryJob",
    "JobFailureData",
    "KeyRangeNoPartitionsDefPartitionsSubset",
    "LoadableTargetOrigin",
    "ManagedGrpcPythonEnvCodeLocationOrigin",
    "RemoteJobOrigin",
    "RemoteRepositoryOrigin",
    "RunFailureReason",
    "UnresolvedAssetJobDefinition",
    "cached_method",
    "capture_interrupts",
    "execute_run",
    "process_config",
    "requested_backfills",
    "step_of",
]


def requested_backfills(instance: dg.DagsterInstance) -> Sequence[Any]:
    """Return the backfills that are not finished.

    `get_backfills` is public, but the filter and the status that it takes aren't. Their module is
    imported here, because its import costs a third of the time to load the code location.
    """
    from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus

    requested = BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])
    return instance.get_backfills(filters=requested)


def step_of(context: dg.InputContext | dg.OutputContext) -> Any:
    """Return the step that an IO manager's context belongs to; None if it belongs to none.

    The inputs and outputs of a step share no other object that lives exactly as long as the step.
    """
    return context._step_context  # noqa: SLF001 - private access is the purpose of this module
