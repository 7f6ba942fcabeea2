"""Compares the data dictionary that a run reads with the stored one, and holds back a frozen one.

The dictionary is the tables ``variables`` and ``forms``. Each is compared when its last row has
arrived, before it is stored, with the table that is stored then. In a study that isn't frozen, the
changes are only noted, for the check ``dictionary``.

In a frozen study, a table that changed isn't stored: its pipeline fails, so the pipelines that
depend on it don't run, and all of them keep their versions. Blinding is the exception, because it
must reach every open table at once. If a variable is withheld now that was not, or if a current
version that this run rebuilds still holds values of a variable that has been blinded, the pipelines
do run: with the stored dictionary, to which only the blinding has been added. The rest of the
changes then fails ``dictionary_changes``, on which nothing depends.
"""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from orch_assets.defs.checks.drift_check import VARIABLES
from orch_assets.defs.checks.drift_modes import DriftMode, DriftModes
from orch_assets.defs.io.artifact_names import artifact_name
from orch_assets.defs.io.io_manager import PipelineIOManager
from orch_assets.defs.resources import RegistryResource
from orch_assets.errors import ArtifactCorruptError, DictionaryFrozenError, SettingError
from orch_assets.imednet.dictionary.dictionary_changes import (
    FORM,
    VARIABLE,
    DictionaryChange,
    changes_between,
    loggable_changes,
)
from orch_assets.imednet.dictionary.frozen_dictionary import with_new_blinding, withholds_more
from orch_assets.imednet.refresh.table_state import account_of, are_of_two_accounts
from orch_assets.imednet.streams import BatchStream
from orch_assets.orchestration.pipeline import StudyPipeline
from orch_assets.orchestration.returned_values import SplitTable
from orch_assets.refreshing import PartRefresh

if TYPE_CHECKING:
    import pyarrow as pa

    from orch_assets.stores.store import PipelineStore

FORMS: Final = "forms"
DICTIONARY_CHANGES: Final = "dictionary_changes"


@dataclass(frozen=True)
class Drift:
    """The changes of one table of a study's dictionary.

    Attributes:
        changes: All changes from the stored table to iMednet's.
        texts: A text for each of them that may be logged.
        held: Texts of those that weren't applied, because the study is frozen.
    """

    changes: tuple[DictionaryChange, ...] = ()
    texts: tuple[str, ...] = ()
    held: tuple[str, ...] = ()


@dataclass(frozen=True)
class DictionaryWatch:
    """Watches the dictionaries of a run's studies. Each study is on one thread at a time.

    Attributes:
        modes: What a change does to a study.
        current: Returns iMednet's current table ``variables`` or ``forms``, by name and study; it
            may be a recent reading.
        store: The store of the tables ``variables`` and ``forms``; None if it isn't one of this
            package's.
        artifact: Returns the name of a pipeline's artifact for a study.
        rebuilt: Pipelines that this run runs and whose results are in that store.
        drifts: What was found, by table and study, in those that this run has read.
    """

    modes: DriftModes
    current: "Callable[[str, str], pa.Table]"
    store: "Callable[[], PipelineStore] | None"
    artifact: Callable[[str, str], str]
    rebuilt: Collection[str]
    drifts: dict[tuple[str, str], Drift] = field(default_factory=dict)

    def watched(self, name: str, study_key: str, value: Any) -> Any:
        """Return what is to be stored as a pipeline's result.

        Args:
            name: The pipeline.
            study_key: The study.
            value: What the pipeline returned. A stream is compared when it is read.

        Raises:
            DictionaryFrozenError: The pipeline is ``dictionary_changes``, and this run has held
                back changes.
            SettingError: The study is frozen, and the table can't be compared.
        """
        if name == DICTIONARY_CHANGES:
            self._refuse_held(study_key)
        if name not in {VARIABLES, FORMS}:
            return value
        self.drifts[name, study_key] = Drift()  # also after an earlier attempt
        stream = value.table if isinstance(value, SplitTable) else None
        if isinstance(stream, BatchStream) and stream.refresh and stream.refresh.unchanged:
            return value  # iMednet has what is stored
        if self.store is None or not isinstance(stream, BatchStream):
            if self.modes.of(study_key) == DriftMode.FREEZE:
                raise SettingError(
                    "ORCH_DRIFT",
                    f"can't freeze study {study_key}: the pipeline {name} doesn't return the API's "
                    "table as a stream, or its IO manager isn't one of this package's.",
                )
            return value
        return SplitTable(
            self._compared(name, study_key, stream), value.withheld, value.withheld_if_any
        )

    def of(self, study_key: str) -> Drift:
        """Return what was found in both tables of a study's dictionary."""
        found = [self.drifts.get((name, study_key), Drift()) for name in (VARIABLES, FORMS)]
        return Drift(
            tuple(change for each in found for change in each.changes),
            tuple(text for each in found for text in each.texts),
            tuple(text for each in found for text in each.held),
        )

    def _refuse_held(self, study_key: str) -> None:
        held = [*self.of(study_key).held]
        if self.modes.of(study_key) == DriftMode.FREEZE:
            for name in (VARIABLES, FORMS):  # a resumed run doesn't read them again
                stored = self._stored(name, study_key)
                if (name, study_key) not in self.drifts and stored is not None:
                    changes = _changes(name, stored, self.current(name, study_key))
                    held += loggable_changes(changes, self.current(VARIABLES, study_key))
        if held:
            raise DictionaryFrozenError(study_key, held, blinding=True)

    def _compared(self, name: str, study_key: str, stream: BatchStream) -> BatchStream:
        def batches() -> "Generator[pa.RecordBatch, None, None]":
            import pyarrow as pa

            try:
                yield pa.RecordBatch.from_pylist([], stream.schema)
                table = pa.Table.from_batches(stream, stream.schema)
                if stream.refresh and self._is_of_another(name, study_key, stream.refresh):
                    yield from table.to_batches()  # accepted, and the first of this account
                else:
                    yield from self._applied(name, study_key, table).to_batches()
            finally:
                stream.close()

        compared = batches()
        next(compared)  # so that closing it unread closes the stream
        # The state of a refresh describes iMednet's table. If another one may be stored, only the
        # account is left of it, so that the next run reads and compares everything.
        refresh = stream.refresh
        if refresh and self.modes.of(study_key) == DriftMode.FREEZE:
            state = refresh.state
            refresh = replace(refresh, state=lambda: account_of(state()))
        return BatchStream(compared, stream.counts, stream.schema, stream.dictionary, refresh)

    def _applied(self, name: str, study_key: str, table: "pa.Table") -> "pa.Table":
        """Note the changes of a table; return the table that is to be stored instead of it."""
        stored = self._stored(name, study_key)
        if stored is None or stored.equals(table):
            return table
        changes = _changes(name, stored, table)
        if not changes:
            return table
        variables = table if name == VARIABLES else self.current(VARIABLES, study_key)
        drift = Drift(tuple(changes), tuple(loggable_changes(changes, variables)))
        self.drifts[name, study_key] = drift
        if self.modes.of(study_key) != DriftMode.FREEZE:
            return table
        kept = with_new_blinding(stored, table) if name == VARIABLES else stored
        held = tuple(loggable_changes(_changes(name, kept, table), variables))
        if not held:  # only blinding
            return table
        self.drifts[name, study_key] = Drift(drift.changes, drift.texts, held)
        if not self._must_withhold(study_key, variables):
            raise DictionaryFrozenError(study_key, held)
        return _in_shape_of(table, kept)

    def _is_of_another(self, name: str, study_key: str, refresh: PartRefresh) -> bool:
        """Return whether another account's table is stored, which may be replaced."""
        if self.store is None or refresh.earlier is not None:
            return False
        try:
            stored = self.store().previous(self.artifact(name, study_key))
        except ArtifactCorruptError:
            return False
        return stored is not None and are_of_two_accounts(stored.state, refresh.state())

    def _must_withhold(self, study_key: str, current: "pa.Table") -> bool:
        """Return whether something is withheld now that current versions of this run may hold."""
        stored = self._stored(VARIABLES, study_key)
        if stored is not None and withholds_more(stored, current):
            return True
        names = [self.artifact(name, study_key) for name in {*self.rebuilt, VARIABLES}]
        versions = self.store().blinded_since(names) if self.store else []
        return any(each.is_current for each in versions)

    def _stored(self, name: str, study_key: str) -> "pa.Table | None":
        store, artifact = self.store and self.store(), self.artifact(name, study_key)
        return store.download_table(artifact) if store and store.exists(artifact) else None


def _changes(name: str, earlier: "pa.Table", later: "pa.Table") -> list[DictionaryChange]:
    return changes_between(VARIABLE if name == VARIABLES else FORM, earlier, later)


def _current(registry: RegistryResource, name: str, study_key: str) -> "pa.Table":
    if name == VARIABLES:
        return registry.sdk.dictionary(study_key).variables
    return registry.sdk.forms.table(study_key)


def _in_shape_of(table: "pa.Table", kept: "pa.Table") -> "pa.Table":
    """Return a stored table with the columns of the one that it stands for."""
    import pyarrow as pa

    shaped = pa.concat_tables([table.slice(0, 0), kept], promote_options="default")
    return shaped.select(table.column_names).cast(table.schema)


def dictionary_watch(
    resources: Any,
    keys: Mapping[str, dg.AssetKey],
    pipelines: Sequence[StudyPipeline],
    selected: Sequence[StudyPipeline],
) -> DictionaryWatch:
    """Return what watches the dictionaries of a run.

    Args:
        resources: Resources of the run.
        keys: Asset keys, by pipeline name.
        pipelines: The pipelines of the graph.
        selected: Those that the run runs.
    """
    own = next((each.io_manager_key for each in pipelines if each.name == VARIABLES), "")
    io_manager = getattr(resources, own, None)
    return DictionaryWatch(
        modes=resources.orchestration.drift_modes(),
        current=partial(_current, resources.registry),
        store=io_manager.pipeline_store if isinstance(io_manager, PipelineIOManager) else None,
        artifact=lambda name, study_key: artifact_name(keys[name], study_key),
        rebuilt=[each.name for each in selected if each.io_manager_key == own],
    )
