"""The stored results that incremental pipelines start from."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import dagster as dg

from orch_assets.defs.io.artifact_names import artifact_name
from orch_assets.defs.io.io_manager import PipelineIOManager
from orch_assets.defs.runs.reading_options import ReadingOptions
from orch_assets.errors import ArtifactCorruptError, ArtifactNotFoundError
from orch_assets.imednet.streams import BatchStream
from orch_assets.orchestration.returned_values import SplitTable
from orch_assets.refreshing import PreviousResult, StoredTable, StoredTables, TableHistory
from orch_assets.stores.artifacts import ArtifactKind
from orch_assets.stores.lineage import CARRIED_OVER, note_input


@dataclass(frozen=True)
class PreviousResults:
    """Finds the stored results of pipelines.

    Attributes:
        io_manager: Returns the IO manager of a pipeline, by name.
        restricted: IO manager of the withheld parts.
        keys: Asset keys, by pipeline name.
        options: How the run reads tables.
    """

    io_manager: Callable[[str], dg.IOManager]
    restricted: dg.IOManager
    keys: Mapping[str, dg.AssetKey]
    options: ReadingOptions

    def current(
        self, name: str, study_key: str, inputs: Mapping[str, str]
    ) -> PreviousResult | None:
        """Return a pipeline's current result for a study.

        None if there is none, or if a user's own IO manager stores it. If its manifest is damaged,
        using the result raises ``ArtifactCorruptError``: a table that only grows must not begin
        anew. Other tables are then read whole.

        Args:
            name: Name of the pipeline.
            study_key: Key of the study.
            inputs: See :class:`~orch_assets.refreshing.PreviousResult`.
        """
        try:
            result = self._result(name, study_key, None)
        except ArtifactCorruptError as error:
            damaged: Any = _DamagedVersion(error)
            result = PreviousResult(damaged, None, self.options.read_whole)
        return result and replace(result, inputs=inputs)

    def history(self, name: str, study_key: str, known: Mapping[str, str]) -> TableHistory:
        """Return the versions of a pipeline's results for a study, and note the current ones.

        Args:
            name: Name of the pipeline.
            study_key: Key of the study.
            known: Versions that this run has published or found current, by URI. Nothing is
                looked up for these.

        Raises:
            ArtifactNotFoundError: There is no result.
        """
        artifact, io_manager = artifact_name(self.keys[name], study_key), self.io_manager(name)
        if not isinstance(io_manager, PipelineIOManager):
            return TableHistory(None)
        table = io_manager.pipeline_store().history(artifact, known)
        if table.version is None:
            raise ArtifactNotFoundError(
                f"{name} has no result for study {study_key}: materialize it first.", artifact=name
            )
        if not known:
            table.note()
        restricted = self.restricted
        if restricted is io_manager or not isinstance(restricted, PipelineIOManager):
            return TableHistory(table)
        withheld = restricted.pipeline_store().history(artifact, known)
        if not known:
            withheld.note()
        return TableHistory(table, withheld)

    def stored(self, name: str, study_key: str, known: Mapping[str, str]) -> StoredTables:
        """Return the stored set of tables of a pipeline for a study, unread; note what it is.

        Args:
            name: Name of the pipeline.
            study_key: Key of the study.
            known: Versions that this run has published or found current, by URI; they are returned
                then, and not noted.

        Raises:
            ArtifactNotFoundError: There is none in a store of this package, or such a version was
                removed.
        """
        from orch_assets.stores.stored_versions import SetVersion

        result = self._result(name, study_key, known or None)
        both = (result.table, result.withheld) if result else ()
        parts = [part for part in both if part is not None]
        io_managers = (self.io_manager(name), self.restricted)
        ours = all(isinstance(each, PipelineIOManager) for each in io_managers)
        if ours and known.keys() - {part.uri for part in parts}:
            raise removed_since(name, study_key)
        if result is None or not isinstance(result.table, SetVersion):
            raise ArtifactNotFoundError(
                f"{name} has no stored set of tables for study {study_key}: materialize it first, "
                "with an IO manager of orch-assets.",
                artifact=name,
            )
        if not known:
            for part in parts:
                note_input(part.uri, part.version)
        return StoredTables(result.table, result.withheld)

    def _result(
        self, name: str, study_key: str, versions: Mapping[str, str] | None
    ) -> PreviousResult | None:
        """Return a result in certain versions, by URI; None stands for the current ones."""
        artifact, io_manager = artifact_name(self.keys[name], study_key), self.io_manager(name)
        table = stored_version(io_manager, artifact, versions)
        if table is None:
            return None
        own = self.restricted is io_manager  # the whole table is withheld
        return PreviousResult(
            table,
            None if own else stored_version(self.restricted, artifact, versions),
            self.options.read_whole,
            self.options.accept_other_registry,
            # Who builds both parts of a result asks twice.
            upstreams=functools.cache(partial(self._upstream, study_key, table)),
        )

    def _upstream(self, study_key: str, table: StoredTable, name: str) -> PreviousResult | None:
        try:
            return self._result(name, study_key, table.inputs) if name in self.keys else None
        except ArtifactCorruptError:  # as if the version had been removed
            return None


@dataclass(frozen=True)
class _DamagedVersion:
    """Takes the place of a version whose manifest can't be read; using it raises the error."""

    error: ArtifactCorruptError

    def __getattr__(self, name: str) -> Any:
        raise self.error


def carried_over(value: Any, previous: PreviousResult | None) -> Mapping[str, str]:
    """Return the fact that a result may still have rows of the previous one, or nothing.

    Streams of this package have none that must be withheld now. Neither has a result for which
    everything was read again.
    """
    table = value.table if isinstance(value, SplitTable) else value
    if previous is None or previous.read_whole or isinstance(table, BatchStream):
        return {}
    try:
        return {CARRIED_OVER: previous.table.version}
    except ArtifactCorruptError:  # it couldn't be used
        return {}


def removed_since(name: str, study_key: str) -> ArtifactNotFoundError:
    """Return the error for a result whose version was removed during the run."""
    return ArtifactNotFoundError(
        f"The version of {name} that this run has made or found for study {study_key} was removed "
        "before a later step took it. Run the study again.",
        artifact=name,
    )


def stored_version(
    io_manager: dg.IOManager, artifact: str, versions: Mapping[str, str] | None = None
) -> Any:
    """Return a stored table or set of tables, of which only the manifest is read.

    Args:
        io_manager: The IO manager that stores it.
        artifact: Name of the artifact.
        versions: The version to return, by the artifact's URI; None for the current one.

    Returns:
        A ``TableVersion``, a ``SetVersion``, or the description of files. None if there is none, or
        if a user's own IO manager stores it.

    Raises:
        ArtifactCorruptError: Its manifest can't be read.
    """
    if not isinstance(io_manager, PipelineIOManager):
        return None
    store = io_manager.pipeline_store()
    finders: dict[ArtifactKind, Callable[..., Any]] = {
        ArtifactKind.TABLE: store.previous,
        ArtifactKind.SET: store.previous_members,
        ArtifactKind.FILES: store.previous_files,
    }
    for kind, find in finders.items():
        version = None if versions is None else versions.get(store.uri(artifact, kind=kind))
        found = find(artifact, version) if version or versions is None else None
        if found is not None:
            return found
    return None


def stored_document(io_manager: dg.IOManager, artifact: str, uri: str | None) -> Any:
    """Return the description of the stored document at a URI; None if it is no document there.

    Args:
        io_manager: The IO manager that stores it.
        artifact: Name of the artifact.
        uri: URI of the artifact.

    Raises:
        ArtifactCorruptError: Its manifest can't be read.
    """
    from orch_assets.stores.artifacts import DOCUMENT_KINDS, ArtifactKind

    extension = (uri or "").rpartition(".")[2]
    if extension not in DOCUMENT_KINDS.values() or not isinstance(io_manager, PipelineIOManager):
        return None
    store = io_manager.pipeline_store()
    return store.previous_document(artifact, ArtifactKind(extension))
