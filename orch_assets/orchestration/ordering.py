"""Order: of the study pipelines of one graph, and of the studies of one run."""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from orch_assets.errors import PipelineDefinitionError
from orch_assets.orchestration.pipeline import StudyPipeline


def in_dependency_order(pipelines: Iterable[StudyPipeline]) -> list[StudyPipeline]:
    """Return the pipelines with every one after its upstreams, else in the order given.

    Raises:
        PipelineDefinitionError: two share a name, or have names that differ in case only, an
            upstream does not exist, or they form a cycle; names the pipelines and their files.
    """
    by_name = by_different_names(pipelines)
    ordered: dict[str, StudyPipeline] = {}
    for name in by_name:
        _visit(name, by_name, ordered, path=())
    return list(ordered.values())


def by_different_names(pipelines: Iterable[StudyPipeline]) -> dict[str, StudyPipeline]:
    """Return the pipelines by name.

    Raises:
        PipelineDefinitionError: two share a name, or have names that differ in case only: a
            pipeline's name is its folder in the store, and a disk may be blind to case.
    """
    by_folded: dict[str, StudyPipeline] = {}
    for pipeline in pipelines:
        twin = by_folded.setdefault(pipeline.name.casefold(), pipeline)
        if twin is pipeline:
            continue
        both = f"{_home(twin)} and {_home(pipeline)}"
        if twin.name == pipeline.name:
            raise PipelineDefinitionError(f"Two pipelines are named {pipeline.name}: {both}.")
        raise PipelineDefinitionError(
            f"The names of the pipelines {twin.name} and {pipeline.name} differ in case only "
            f"({both}), and their folders may be one. Rename one of them."
        )
    return {pipeline.name: pipeline for pipeline in by_folded.values()}


def _visit(
    name: str,
    by_name: dict[str, StudyPipeline],
    ordered: dict[str, StudyPipeline],
    path: Sequence[str],
) -> None:
    if name in ordered:
        return
    if name in path:
        cycle = " → ".join([*path[path.index(name) :], name])
        raise PipelineDefinitionError(f"The pipelines' upstreams form a cycle: {cycle}.")
    pipeline = by_name.get(name)
    if pipeline is None:
        known = ", ".join(sorted(by_name))
        raise PipelineDefinitionError(
            f"Pipeline {path[-1]} takes a parameter {name!r}, and no pipeline has that name. "
            f"Give it a default if it is none. Pipelines: {known}."
        )
    for upstream in pipeline.upstreams:
        _visit(upstream, by_name, ordered, (*path, name))
    ordered[name] = pipeline


def _home(pipeline: StudyPipeline) -> str:
    return f"{pipeline.function.__module__}.{getattr(pipeline.function, '__qualname__', '?')}"


def longest_first(studies: Sequence[str], expected_durations: Mapping[str, float]) -> list[str]:
    """Return the studies with the longest first, so that none is left to run alone at the end.

    Args:
        studies: in the order that equals keep.
        expected_durations: seconds by study. One that isn't there counts as the median of those
            that are.
    """
    known = [expected_durations[study] for study in studies if study in expected_durations]
    usual = statistics.median(known) if known else 0.0
    return sorted(studies, key=lambda study: -expected_durations.get(study, usual))
