"""The quick start of the ``imednet`` package's orchestrator, but for its import lines.

Runs on any interpreter. Usage: ``quick_start.py CLIENT``, where CLIENT is the module that the
SDK comes from; its keys and its address are in the environment.
"""

import importlib
import sys

from orch_assets.orchestration import MultiStudyOrchestrator

ImednetSDK = importlib.import_module(sys.argv[1]).ImednetSDK


def my_pipeline(study_key, sdk, study_logger, **kwargs):
    study_logger.info("Processing study")
    subjects = sdk.subjects.list(study_key=study_key)
    return {"subject_count": len(list(subjects))}


with ImednetSDK() as sdk:
    orchestrator = MultiStudyOrchestrator(sdk, max_workers=4)
    results = orchestrator.execute_pipeline(my_pipeline)

for study_key, result in results.items():
    if result["status"] == "SUCCESS":
        print(f"{study_key}: {result['data']}")  # noqa: T201 - as it stands there
    else:
        print(f"{study_key}: FAILED — {result['error']}")  # noqa: T201 - likewise
