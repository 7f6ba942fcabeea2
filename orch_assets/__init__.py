"""Clinical-data pipelines over every study of an iMednet EDC account.

This package has all public names. Each is imported on first use. None imports Dagster, except
``build_definitions``, which ``from orch_assets import *`` therefore leaves out.
"""

import importlib
from typing import TYPE_CHECKING, Any

from orch_assets.lazy import attributes_of

if TYPE_CHECKING:
    from orch_assets.defs.location.code_location import build_definitions as build_definitions
    from orch_assets.errors import (
        FilterConflictError,
        ImednetError,
        OrchestratorError,
        StudyNotFoundError,
    )
    from orch_assets.imednet import ImednetSDK, build_form_tables, partial_dates
    from orch_assets.orchestration import (
        CancelHandle,
        Document,
        JsonLogFormatter,
        MultiStudyOrchestrator,
        OrchestratorResult,
        Result,
        Skip,
        SplitTable,
        StudyMachine,
        StudyTables,
        StudyWorkerCallable,
        split_withheld,
        study_pipeline,
    )
    from orch_assets.refreshing import PreviousResult, StoredTables, TableHistory
    from orch_assets.step_functions import PipelineStep, StepFunctionsPipeline
    from orch_assets.stores import (
        GCSPipelineStore,
        LocalPipelineStore,
        S3PipelineStore,
        StorageFormat,
    )
    from orch_assets.study import (
        StudyContextLogAdapter,
        get_current_study,
        in_study_context,
        make_study_logger,
        study_context,
    )

_HOMES = {
    "CancelHandle": "orchestration",
    "Document": "orchestration",
    "FilterConflictError": "errors",
    "GCSPipelineStore": "stores",
    "ImednetError": "errors",
    "ImednetSDK": "imednet",
    "JsonLogFormatter": "orchestration",
    "LocalPipelineStore": "stores",
    "MultiStudyOrchestrator": "orchestration",
    "OrchestratorError": "errors",
    "OrchestratorResult": "orchestration",
    "PipelineStep": "step_functions",
    "PreviousResult": "refreshing",
    "Result": "orchestration",
    "S3PipelineStore": "stores",
    "Skip": "orchestration",
    "SplitTable": "orchestration",
    "StepFunctionsPipeline": "step_functions",
    "StorageFormat": "stores",
    "StoredTables": "refreshing",
    "StudyContextLogAdapter": "study",
    "StudyMachine": "orchestration",
    "StudyNotFoundError": "errors",
    "StudyTables": "orchestration",
    "StudyWorkerCallable": "orchestration",
    "TableHistory": "refreshing",
    "build_form_tables": "imednet",
    "get_current_study": "study",
    "in_study_context": "study",
    "make_study_logger": "study",
    "partial_dates": "imednet",
    "split_withheld": "orchestration",
    "study_context": "study",
    "study_pipeline": "orchestration",
}

__all__ = [
    "CancelHandle",
    "Document",
    "FilterConflictError",
    "GCSPipelineStore",
    "ImednetError",
    "ImednetSDK",
    "JsonLogFormatter",
    "LocalPipelineStore",
    "MultiStudyOrchestrator",
    "OrchestratorError",
    "OrchestratorResult",
    "PipelineStep",
    "PreviousResult",
    "Result",
    "S3PipelineStore",
    "Skip",
    "SplitTable",
    "StepFunctionsPipeline",
    "StorageFormat",
    "StoredTables",
    "StudyContextLogAdapter",
    "StudyMachine",
    "StudyNotFoundError",
    "StudyTables",
    "StudyWorkerCallable",
    "TableHistory",
    "build_form_tables",
    "get_current_study",
    "in_study_context",
    "make_study_logger",
    "partial_dates",
    "split_withheld",
    "study_context",
    "study_pipeline",
]


# For `dagster -m orch_assets`: Dagster names a code location after its module, and the name must be
# the same everywhere. Dagster searches the `dir` of the module for definitions.
_CODE_LOCATION = "code_location"

_WITH_DAGSTER = {"build_definitions": "defs.location.code_location"}

_public, _ = attributes_of(__name__, _HOMES | _WITH_DAGSTER)


def __getattr__(name: str) -> Any:
    if name == _CODE_LOCATION:
        return importlib.import_module(f"{__name__}.definitions").defs
    return _public(name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_WITH_DAGSTER, _CODE_LOCATION])
