"""The order of the study pipelines of a graph, and of the studies of a run."""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from orch_assets.errors import PipelineDefinitionError
from orch_assets.orchestration.defining.similar_names import suggestion
from orch_assets.orchestration.pipeline import StudyPipeline


def in_dependency_order(pipelines: Iterable[StudyPipeline]) -> list[StudyPipeline]:
    """Return the pipelines with each after its upstreams, otherwise in their original order.

    Raises:
        PipelineDefinitionError: Two pipelines share a name or have names that differ only in case,
            an upstream does not exist, or the upstreams form a cycle. The message names the
            pipelines and their files.
    """
    by_name = by_different_names(pipelines)
    ordered: dict[str, StudyPipeline] = {}
    for name in by_name:
        _visit(name, by_name, ordered, path=())
    return list(ordered.values())


def by_different_names(pipelines: Iterable[StudyPipeline]) -> dict[str, StudyPipeline]:
    """Return the pipelines by name.

    Raises:
        PipelineDefinitionError: Two pipelines share a name or have names that differ only in case.
            A pipeline's name is its folder in the store, and a file system may ignore case.
    """
    by_folded: dict[str, StudyPipeline] = {}
    for pipeline in pipelines:
        twin = by_folded.setdefault(pipeline.name.casefold(), pipeline)
        if twin is pipeline:
            continue
        both = f"{twin.place} and {pipeline.place}"
        if twin.name == pipeline.name:
            raise PipelineDefinitionError(f"Two pipelines are named {pipeline.name}: {both}.")
        raise PipelineDefinitionError(
            f"The names of the pipelines {twin.name} and {pipeline.name} differ in case only "
            f"({both}), and may share a folder in the store. Rename one of them."
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
    pipeline = by_name[name]
    if problem := name_problem(pipeline, by_name):
        raise PipelineDefinitionError(f"{pipeline.place}: {problem}")
    for upstream in pipeline.upstreams:
        _visit(upstream, by_name, ordered, (*path, name))
    ordered[name] = pipeline


def name_problem(pipeline: StudyPipeline, known: Iterable[str]) -> str | None:
    """Return what is wrong with the names of a pipeline's parameters; None if nothing is.

    Args:
        pipeline: The pipeline.
        known: Names of the pipelines that it may take.
    """
    names = sorted(known)
    for name in pipeline.upstreams:
        if name not in names:
            return (
                f"Pipeline {pipeline.name} takes a parameter {name!r}, but no pipeline has that "
                f"name.{suggestion(name, names)} {_otherwise(pipeline, name)} Pipelines: "
                f"{', '.join(names)}."
            )
    for setting in pipeline.settings:
        if setting.name in names:
            return (
                f"Pipeline {pipeline.name} has a setting {setting.name!r}, which is also the name "
                "of a pipeline. To take its result, remove the default, or make it None; "
                "otherwise rename the parameter."
            )
    return None


def _otherwise(pipeline: StudyPipeline, name: str) -> str:
    if name not in pipeline.optional:
        return "If the parameter is not an upstream, give it a default."
    return (
        "If the parameter is a setting that may be None, annotate it, such as "
        f"`{name}: int | None = None`."
    )


def longest_first(studies: Sequence[str], expected_durations: Mapping[str, float]) -> list[str]:
    """Return the studies, longest first, so that no long study runs alone at the end.

    Args:
        studies: Studies of equal duration stay in this order.
        expected_durations: Seconds by study. A study without an entry counts as the median of the
            studies that have one.
    """
    known = [expected_durations[study] for study in studies if study in expected_durations]
    median = statistics.median(known) if known else 0.0
    return sorted(studies, key=lambda study: -expected_durations.get(study, median))
