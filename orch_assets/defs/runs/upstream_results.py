"""What a run knows of the upstream results that earlier runs made."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from orch_assets.defs import events
from orch_assets.defs.runs.earlier_results import newest_materializations
from orch_assets.orchestration.pipeline import StudyPipeline

Result = tuple[str, str]


@dataclass(frozen=True)
class UpstreamResults:
    """Facts about the newest results of upstreams, each named by its pipeline and study.

    Attributes:
        data: ``data`` of results without an artifact, by pipeline and study.
        uris: URIs of all results; None for a result without an artifact.
        none_withheld: Results without a withheld part.
        skipped: Why studies were skipped.
    """

    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    uris: dict[Result, str | None] = field(default_factory=dict)
    none_withheld: set[Result] = field(default_factory=set)
    skipped: dict[Result, str] = field(default_factory=dict)


def upstream_results(
    instance: dg.DagsterInstance,
    keys: Mapping[str, dg.AssetKey],
    needed: Mapping[str, Iterable[str]],
) -> UpstreamResults:
    """Return what is known of the newest results of some pipelines, each for its studies."""
    found = UpstreamResults()
    for name, studies in needed.items():
        of_pipeline = found.data.setdefault(name, {})
        for study_key, record in newest_materializations(instance, keys[name], studies):
            event = record.asset_materialization
            metadata = event.metadata if event else {}
            if (reason := events.skipped(metadata)) is not None:
                found.skipped[name, study_key] = reason
                continue
            alone, data = events.data_alone(record)
            if alone:
                of_pipeline[study_key] = data
            found.uris[name, study_key] = events.uri_of(metadata)
            if events.none_withheld(metadata):
                found.none_withheld.add((name, study_key))
    return found


def skipped_before(
    instance: dg.DagsterInstance,
    pipelines: Mapping[str, StudyPipeline],
    keys: Mapping[str, dg.AssetKey],
    selected: Iterable[StudyPipeline],
    studies: Collection[str],
) -> set[Result]:
    """Return the results of incremental pipelines whose newest event is a skip.

    What such a pipeline stored before is no longer current. Nothing is looked up for a pipeline
    that can't be skipped.
    """
    return {
        (each.name, study_key)
        for each in selected
        if each.incremental and _may_skip(each, pipelines)
        for study_key, record in newest_materializations(instance, keys[each.name], studies)
        if record.asset_materialization is not None
        and events.skipped(record.asset_materialization.metadata) is not None
    }


def _may_skip(pipeline: StudyPipeline, pipelines: Mapping[str, StudyPipeline]) -> bool:
    """Return whether a pipeline or one of its upstreams is a user's own.

    The shipped pipelines that take their previous result are never skipped.
    """
    if pipeline.studies or not pipeline.is_shipped:
        return True
    upstreams = (pipelines.get(name) for name in pipeline.upstreams)
    return any(each is None or _may_skip(each, pipelines) for each in upstreams)
