"""Results of pure pipelines that are still right, because nothing they depend on has changed."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from orch_assets.charts.small_cells import min_cell
from orch_assets.defs.checks.drift_check import VARIABLES
from orch_assets.defs.events import uri_of, versions_of
from orch_assets.defs.io.artifact_names import artifact_name
from orch_assets.defs.io.event_metadata import REFRESH, of_the_artifact
from orch_assets.defs.io.io_manager import PipelineIOManager
from orch_assets.defs.io.previous_results import stored_document, stored_version
from orch_assets.defs.runs.earlier_results import newest_materializations
from orch_assets.errors import ArtifactCorruptError, StoreError
from orch_assets.orchestration.defining.received_types import ARROW, PANDAS, READER, SPLIT, STORED
from orch_assets.orchestration.pipeline import StudyPipeline
from orch_assets.refreshing import CARRIED_FORWARD, PreviousResult
from orch_assets.stores.made_alike import MADE_BY, is_made_alike
from orch_assets.version import source_digest

if TYPE_CHECKING:
    from orch_assets.stores.stored_versions import DescribedVersion

Result = tuple[str, str]


@dataclass(frozen=True)
class PureResults:
    """Finds results of pure pipelines that are still right.

    A result is named by its pipeline and study.

    Attributes:
        io_manager: Returns the IO manager of a pipeline, by name.
        restricted: IO manager of the withheld parts.
        keys: Asset keys, by pipeline name.
        versions: Hashes of the artifacts of this run's results, by URI.
        uris: URIs of this run's and earlier results; None for a result without an artifact.
        none_withheld: Earlier results without a withheld part.
        newest: Metadata of the newest results of pure pipelines.
    """

    io_manager: Callable[[str], dg.IOManager]
    restricted: dg.IOManager
    keys: Mapping[str, dg.AssetKey]
    versions: Mapping[Result, Mapping[str, str]]
    uris: Mapping[Result, str | None]
    none_withheld: set[Result]
    newest: Mapping[Result, Mapping[str, Any]]

    def made_by(self, pipeline: StudyPipeline, study_key: str) -> dict[str, str]:
        """Return the fact by which a later run knows what made a result of a pure pipeline.

        It covers the files of this package, and how the stores write tables. It is empty if the
        result can't be carried forward: an IO manager is a user's own, or the pipeline takes the
        dictionary and this run hasn't read it. iMednet may withhold more by now than that says.
        Ask for it before the pipeline is called: if a day begins meanwhile, the result of a daily
        pipeline then counts as the former day's, and is made again.
        """
        if not pipeline.pure:
            return {}
        lacks_dictionary = (VARIABLES, study_key) not in self.versions
        if VARIABLES in pipeline.upstreams and lacks_dictionary:
            return {}
        io_managers = (self.io_manager(pipeline.name), self.restricted)
        stores = [
            each.pipeline_store() for each in io_managers if isinstance(each, PipelineIOManager)
        ]
        sources = source_digest()
        if len(stores) < len(io_managers) or sources is None:
            return {}
        # The limit is the only setting that a shipped pure pipeline reads.
        facts = [sources, min_cell(), *(store.table_format for store in stores)]
        if pipeline.daily:
            facts.append(_today().isoformat())
        parts = json.dumps(facts)
        return {MADE_BY: hashlib.sha256(parts.encode()).hexdigest()[:16]}

    def still_right(
        self, pipeline: StudyPipeline, study_key: str, provenance: Mapping[str, str]
    ) -> Mapping[str, Any] | None:
        """Return the metadata of a result that is carried forward; None if it must be made.

        Args:
            pipeline: The pipeline.
            study_key: The study.
            provenance: What the manifest of a new result would say about its making.
        """
        event = self.newest.get((pipeline.name, study_key))
        if event is None or MADE_BY not in provenance:
            return None
        try:
            inputs = self._inputs(pipeline, study_key)
            parts = self._parts(pipeline.name, study_key, uri_of(event)) if inputs else []
        except StoreError:  # reading or publishing says what is wrong, or mends it
            return None
        if not parts or {each.uri: each.version for each in parts} != versions_of(event):
            return None
        if not all(_is_alike(part, provenance) and part.inputs == inputs for part in parts):
            return None
        try:
            for part in parts:
                part.mend_copies()
        except StoreError:  # publishing says what is wrong
            return None
        return {**of_the_artifact(event), REFRESH: dg.MetadataValue.text(CARRIED_FORWARD)}

    def _inputs(self, pipeline: StudyPipeline, study_key: str) -> dict[str, str] | None:
        """Return the versions that the pipeline would take now, as a manifest would list them.

        None if one of them is unknown.
        """
        inputs: dict[str, str] = {}
        for name in pipeline.upstreams:
            taken = self._taken(pipeline.table_type(name), name, study_key)
            if not taken:
                return None
            inputs |= taken
        return inputs

    def _taken(self, table_type: str, name: str, study_key: str) -> dict[str, str] | None:
        uri, made = self.uris.get((name, study_key)), self.versions.get((name, study_key))
        if uri is None or table_type not in {PANDAS, ARROW, READER, SPLIT, STORED}:
            return None
        if made is None:
            made = {each.uri: each.version for each in self._parts(name, study_key)}
            expects_two = (
                table_type in {SPLIT, STORED} and (name, study_key) not in self.none_withheld
            )
            if len(made) < 1 + expects_two:
                return None
        if uri not in made:
            return None
        return dict(made) if table_type in {SPLIT, STORED} else {uri: made[uri]}

    def _parts(self, name: str, study_key: str, uri: str | None = None) -> "list[DescribedVersion]":
        """Return the stored parts of a result, the open one first; empty without that.

        Args:
            name: The pipeline.
            study_key: The study.
            uri: URI of the result, by which a document is found.
        """
        artifact = artifact_name(self.keys[name], study_key)
        if (document := stored_document(self.io_manager(name), artifact, uri)) is not None:
            return [document]
        parts = [stored_version(self.io_manager(name), artifact)]
        if self.io_manager(name) is not self.restricted:
            parts.append(stored_version(self.restricted, artifact))
        return [each for each in parts if each is not None] if parts[0] is not None else []


def alike_or_none(
    previous: PreviousResult | None, provenance: Mapping[str, str]
) -> PreviousResult | None:
    """Return a previous result if the same code would make it again from its inputs.

    None otherwise, if it is damaged, and if its parts were made from different inputs: a run was
    killed in between.
    """
    if previous is None or previous.read_whole:
        return None
    parts: list[Any] = [previous.table]
    if previous.withheld is not None:  # an empty set is falsy
        parts.append(previous.withheld)
    try:
        alike = all(_is_alike(part, provenance) for part in parts)
        alike = alike and all(part.inputs == parts[0].inputs for part in parts)
    except ArtifactCorruptError:  # it is made anew
        return None
    return previous if alike else None


def newest_metadata(
    instance: dg.DagsterInstance,
    pipelines: Iterable[StudyPipeline],
    keys: Mapping[str, dg.AssetKey],
    studies: Iterable[str],
) -> dict[Result, Mapping[str, Any]]:
    """Return the metadata of the newest results of pure pipelines, by pipeline and study."""
    found: MutableMapping[Result, Mapping[str, Any]] = {}
    for name in (pipeline.name for pipeline in pipelines if pipeline.pure):
        for study_key, record in newest_materializations(instance, keys[name], studies):
            event = record.asset_materialization
            if event is not None:
                found[name, study_key] = event.metadata
    return dict(found)


def _today() -> date:
    return datetime.now(UTC).date()


def _is_alike(part: "DescribedVersion", provenance: Mapping[str, str]) -> bool:
    return is_made_alike(part.publication, provenance)
