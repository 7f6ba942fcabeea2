"""Finds the study pipelines of a package: one module, one or more marked functions."""

import importlib
import pkgutil
from types import ModuleType

from orch_assets.orchestration.pipeline import StudyPipeline, pipeline_of


def discover_pipelines(package: ModuleType) -> list[StudyPipeline]:
    """Return the pipelines that a package's modules define, by module and order of definition.

    A pipeline that a module imports from elsewhere is not its own and is left out.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    found: list[StudyPipeline] = []
    for name in names:
        module = importlib.import_module(f"{package.__name__}.{name}")
        found += [
            pipeline
            for member in vars(module).values()
            if (pipeline := pipeline_of(member)) is not None
            and pipeline.function.__module__ == module.__name__
        ]
    return found
