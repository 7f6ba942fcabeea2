"""Pipelines over many studies: selection, lanes, results. Runs without Dagster."""

from orch_assets.orchestration.kept import SplitTable, split_withheld
from orch_assets.orchestration.orchestrator import MultiStudyOrchestrator
from orch_assets.orchestration.pipeline import (
    StudyPipeline,
    StudyWorkerCallable,
    pipeline_of,
    study_pipeline,
)
from orch_assets.orchestration.result import OrchestratorResult

__all__ = [
    "MultiStudyOrchestrator",
    "OrchestratorResult",
    "SplitTable",
    "StudyPipeline",
    "StudyWorkerCallable",
    "pipeline_of",
    "split_withheld",
    "study_pipeline",
]
