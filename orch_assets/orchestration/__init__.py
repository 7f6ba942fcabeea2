"""Pipelines over many studies: selection, lanes, results. Runs without Dagster."""

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
from orch_assets.orchestration.returned_values import SplitTable, split_withheld
from orch_assets.orchestration.study_machine import StudyMachine
from orch_assets.study import StudyContextLogAdapter, make_study_logger

__all__ = [
    "CancelHandle",
    "JsonLogFormatter",
    "MultiStudyOrchestrator",
    "OrchestratorResult",
    "SplitTable",
    "StudyContextLogAdapter",
    "StudyMachine",
    "StudyPipeline",
    "StudyWorkerCallable",
    "make_study_logger",
    "pipeline_of",
    "split_withheld",
    "study_pipeline",
]
