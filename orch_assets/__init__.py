"""Clinical-data pipelines over every study of an iMednet EDC account.

Everything public is here, and is imported when it is first used; nothing here imports Dagster.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orch_assets.errors import FilterConflictError, ImednetError, OrchestratorError
    from orch_assets.orchestration import (
        MultiStudyOrchestrator,
        OrchestratorResult,
        SplitTable,
        StudyWorkerCallable,
        split_withheld,
        study_pipeline,
    )
    from orch_assets.registry import ImednetSDK
    from orch_assets.stores import LocalPipelineStore, StorageFormat
    from orch_assets.study import (
        StudyContextLogAdapter,
        get_current_study,
        make_study_logger,
        study_context,
    )

_HOMES = {
    "FilterConflictError": "errors",
    "ImednetError": "errors",
    "ImednetSDK": "registry",
    "LocalPipelineStore": "stores",
    "MultiStudyOrchestrator": "orchestration",
    "OrchestratorError": "errors",
    "OrchestratorResult": "orchestration",
    "SplitTable": "orchestration",
    "StorageFormat": "stores",
    "StudyContextLogAdapter": "study",
    "StudyWorkerCallable": "orchestration",
    "get_current_study": "study",
    "make_study_logger": "study",
    "split_withheld": "orchestration",
    "study_context": "study",
    "study_pipeline": "orchestration",
}

__all__ = [
    "FilterConflictError",
    "ImednetError",
    "ImednetSDK",
    "LocalPipelineStore",
    "MultiStudyOrchestrator",
    "OrchestratorError",
    "OrchestratorResult",
    "SplitTable",
    "StorageFormat",
    "StudyContextLogAdapter",
    "StudyWorkerCallable",
    "get_current_study",
    "make_study_logger",
    "split_withheld",
    "study_context",
    "study_pipeline",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
