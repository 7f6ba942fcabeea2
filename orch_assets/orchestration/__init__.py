"""Runs pipelines for many studies: selection, lanes, results. Works without Dagster."""

from typing import TYPE_CHECKING

from orch_assets.lazy import attributes_of

if TYPE_CHECKING:
    from orch_assets.orchestration.cancel import CancelHandle
    from orch_assets.orchestration.orchestrator import MultiStudyOrchestrator
    from orch_assets.orchestration.pipeline import (
        StudyPipeline,
        StudyWorkerCallable,
        pipeline_of,
        study_pipeline,
    )
    from orch_assets.orchestration.reporting.json_log import JsonLogFormatter
    from orch_assets.orchestration.reporting.results import OrchestratorResult
    from orch_assets.orchestration.returned_values import (
        Document,
        Result,
        Skip,
        SplitTable,
        split_withheld,
    )
    from orch_assets.orchestration.study_machine import StudyMachine
    from orch_assets.orchestration.study_tables import StudyTables

_HOMES = {
    "CancelHandle": "cancel",
    "Document": "returned_values",
    "JsonLogFormatter": "reporting.json_log",
    "MultiStudyOrchestrator": "orchestrator",
    "OrchestratorResult": "reporting.results",
    "Result": "returned_values",
    "Skip": "returned_values",
    "SplitTable": "returned_values",
    "StudyMachine": "study_machine",
    "StudyPipeline": "pipeline",
    "StudyTables": "study_tables",
    "StudyWorkerCallable": "pipeline",
    "pipeline_of": "pipeline",
    "split_withheld": "returned_values",
    "study_pipeline": "pipeline",
}

__all__ = [
    "CancelHandle",
    "Document",
    "JsonLogFormatter",
    "MultiStudyOrchestrator",
    "OrchestratorResult",
    "Result",
    "Skip",
    "SplitTable",
    "StudyMachine",
    "StudyPipeline",
    "StudyTables",
    "StudyWorkerCallable",
    "pipeline_of",
    "split_withheld",
    "study_pipeline",
]

__getattr__, __dir__ = attributes_of(__name__, _HOMES)
