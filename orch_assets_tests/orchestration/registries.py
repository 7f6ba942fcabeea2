"""The smallest SDK that the orchestrator accepts."""

from types import SimpleNamespace

from orch_assets import MultiStudyOrchestrator


class Registry:
    def __init__(self, *study_keys):
        self.requests = 0
        self.study_keys = study_keys
        self.studies = self

    def list(self):
        self.requests += 1
        return [SimpleNamespace(study_key=key) for key in self.study_keys]


def execute(function, *study_keys, max_workers=4, **options):
    """Run a function over studies with these options of the orchestrator."""
    return MultiStudyOrchestrator(Registry(*study_keys), max_workers, **options).execute_pipeline(
        function
    )


def errors(results):
    return {key: result["error"] for key, result in results.items()}
