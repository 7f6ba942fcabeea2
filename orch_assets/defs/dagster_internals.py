"""What this package uses of Dagster beyond its public API: all of it, and nowhere else.

Each part fills a gap that is named beside it. Dagster promises nothing of them, so a test imports
and uses each one, on the lowest and on the newest release that pyproject.toml allows: what an
upgrade breaks fails there, by its name.
"""

from typing import Any

import dagster as dg

# Resources without launch configuration: `configured()` is public, but leaves the fields and their
# values on view.
from dagster._config.pythonic_config.io_manager import (
    ConfigurableIOManagerFactoryResourceDefinition,
)
from dagster._config.pythonic_config.resource import (
    ConfigurableResourceFactory,
    ConfigurableResourceFactoryResourceDefinition,
)
from dagster._config.validate import process_config

# A check of a past materialization: `AssetCheckEvaluation` takes this, and nothing public makes it.
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)

# A run that is made beforehand and then executed here: `execute_in_process` makes runs without an
# origin, by which the UI finds the job to re-execute.
from dagster._core.definitions.job_base import InMemoryJob

# What `define_asset_job` returns has no public name.
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

# A run closed as one whose process is gone, which no daemon retries: `report_run_failed` is public,
# the reason that it takes is not.
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.execution.api import execute_run

# Unfinished backfills: `get_backfills` filters by these.
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus

# The input of one partition: `build_input_context` takes no run's resources, and makes an instance.
from dagster._core.execution.context.input import KeyRangeNoPartitionsDefPartitionsSubset

# A job's origin; see `InMemoryJob`.
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

# Runs that aren't finished: the statuses are public one by one, and a new one would be missed.
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

# A resource's definition is made once: Dagster knows nested resources by their definition.
from dagster._utils.cached_method import cached_method

# Cleaning up when a run is interrupted: nothing public holds back a second interrupt.
from dagster._utils.interrupts import capture_interrupts

__all__ = [
    "NOT_FINISHED_STATUSES",
    "AssetCheckEvaluationTargetMaterializationData",
    "BulkActionStatus",
    "BulkActionsFilter",
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
    "step_of",
]


def step_of(context: dg.InputContext | dg.OutputContext) -> Any:
    """Return the step that an IO manager's context belongs to; None for one of no step.

    Inputs and outputs of a step have nothing else in common that lives as long as the step.
    """
    return context._step_context  # noqa: SLF001 - for this, the module is here
