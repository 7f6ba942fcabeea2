"""Marks a study's last run: what it stored is kept, and can be read by the name of the mark.

Only a run that has ended, and in which nothing of the study failed, can be marked.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import dagster as dg

from orch_assets.defs.events import versions_of
from orch_assets.defs.io.artifact_names import artifact_name
from orch_assets.defs.partitions import STUDIES_NAME, is_run_over_studies, range_of
from orch_assets.defs.runs.abandoned_runs import UnfinishedRun, unfinished_runs
from orch_assets.defs.runs.earlier_results import newest_materializations, records_of_run
from orch_assets.defs.runs.run_states import is_backfill_requested
from orch_assets.errors import ArtifactNotFoundError, MarkError
from orch_assets.lazy import cached_property
from orch_assets.stores import ArtifactKind, PipelineStore

_MATERIALIZED = dg.DagsterEventType.ASSET_MATERIALIZATION
_PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED


@dataclass(frozen=True)
class StudyRun:
    """A finished run of a study.

    Attributes:
        study_key: Key of the study.
        run_id: ID of the run.
        versions: The versions that the run stored or carried forward, by asset and artifact URI.
    """

    study_key: str
    run_id: str
    versions: Mapping[dg.AssetKey, Mapping[str, str]]

    def of_store(self, store: PipelineStore) -> dict[str, str]:
        """Return those of the versions that are in a store, by artifact name."""
        found = {}
        for key, versions in self.versions.items():
            name = artifact_name(key, self.study_key)
            for kind in ArtifactKind:
                version = versions.get(store.uri(name, kind=kind))
                found.update({name: version} if version else {})
        return found


@dataclass
class _StudyEvents:
    """What a run's events say about a study: what was planned, and what was stored."""

    planned: set[dg.AssetKey] = field(default_factory=set)
    stored: dict[dg.AssetKey, Mapping[str, str]] = field(default_factory=dict)


class StudyRuns:
    """Finds the runs of studies that can be marked.

    Args:
        instance: The instance that recorded the runs.
        study_keys: Keys of the studies.
        keys: Assets of the study graphs.
        main: Those that the main job runs.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        study_keys: Iterable[str],
        keys: Collection[dg.AssetKey],
        main: Collection[dg.AssetKey],
    ) -> None:
        self._instance = instance
        self._study_keys = list(study_keys)
        self._keys = frozenset(keys)
        self._main = frozenset(main)
        self._events: dict[str, dict[str, _StudyEvents]] = {}

    def finished_run(self, study_key: str, run_id: str | None = None) -> StudyRun:
        """Return the run of a study that a mark may name.

        Args:
            study_key: Key of the study.
            run_id: ID of the run; by default the study's last one of the main job's assets.

        Raises:
            MarkError: A run of the study is open, the run failed for the study, there is no such
                run, or the last one made only some of the study's results.
        """
        self._refuse_open(study_key)
        chosen = run_id or self._last_run(study_key)
        run = self._instance.get_run_by_id(chosen) if chosen else None
        if run is None:
            problem = f"no run has the ID {run_id}" if run_id else "it has never been run"
            raise MarkError(f"Study {study_key} can't be marked: {problem}.")
        events = self._events_of(run.run_id).get(study_key, _StudyEvents())
        # If the daemon dies while it creates a run, planned events are missing.
        selected = (run.asset_selection or self._main) & self._keys
        failed = (events.planned or selected) - events.stored.keys()
        if failed:
            raise MarkError(
                f"Study {study_key} can't be marked: {_listed(failed)} failed or did not end in "
                f"run {run.run_id}. `orch-assets failures --run {run.run_id} --study {study_key}` "
                "shows why, and `orch-assets run --failed` runs again what failed in the last run."
            )
        if run_id is None:
            self._refuse_partial(study_key, run.run_id, events)
        return StudyRun(study_key, run.run_id, events.stored)

    def _refuse_open(self, study_key: str) -> None:
        for each in self._unfinished:
            if study_key in self._studies_of(each.run):
                raise MarkError(
                    f"Study {study_key} can't be marked: run {each.run.run_id} of it is open "
                    f"({each.describe()}). Wait until it ends; `orch-assets runs` shows whether a "
                    "process still executes it."
                )
        if self._has_backfill:
            raise MarkError(
                f"Study {study_key} can't be marked: a backfill may still start a run of it. Wait "
                "until it ends."
            )

    def _refuse_partial(self, study_key: str, run_id: str, events: _StudyEvents) -> None:
        others = {
            newest[study_key][1]: key
            for key, newest in self._newest.items()
            if key in self._main - events.stored.keys() and study_key in newest
        }
        if others:
            raise MarkError(
                f"Study {study_key} can't be marked: its last run {run_id} made only "
                f"{_listed(events.stored)}; the others are of {', '.join(sorted(others))}. Run all "
                "pipelines of the study, or choose a run with --run."
            )

    @cached_property
    def _unfinished(self) -> list[UnfinishedRun]:
        runs = unfinished_runs(self._instance)
        return [each for each in runs if is_run_over_studies(each.run, self._keys)]

    @cached_property
    def _has_backfill(self) -> bool:
        return is_backfill_requested(self._instance, self._keys)

    @cached_property
    def _partitions(self) -> list[str]:
        return list(self._instance.get_dynamic_partitions(STUDIES_NAME))

    @cached_property
    def _newest(self) -> dict[dg.AssetKey, dict[str, tuple[int, str]]]:
        """Event ID and run ID of the last attempt to make each result, by asset and study."""
        storage = self._instance.event_log_storage
        newest: dict[dg.AssetKey, dict[str, tuple[int, str]]] = {}
        for key in self._keys:
            made = newest_materializations(self._instance, key, self._study_keys)
            newest[key] = {study: (each.storage_id, each.run_id) for study, each in made}
            failed = (
                storage.get_latest_asset_partition_materialization_attempts_without_materializations
            )(key)
            for study, (run_id, event_id) in failed.items():
                attempt = (event_id, run_id)
                newest[key][study] = max(newest[key].get(study, attempt), attempt)
        return newest

    def _last_run(self, study_key: str) -> str | None:
        attempts = [
            self._newest[key][study_key] for key in self._main if study_key in self._newest[key]
        ]
        return max(attempts)[1] if attempts else None

    def _studies_of(self, run: dg.DagsterRun) -> Collection[str]:
        first, last = range_of(run)
        if first not in self._partitions or last not in self._partitions:
            return {*self._partitions, first, last}  # one of them was retired since
        start, end = self._partitions.index(first), self._partitions.index(last)
        return self._partitions[start : end + 1]

    def _events_of(self, run_id: str) -> Mapping[str, _StudyEvents]:
        if run_id not in self._events:
            by_study = self._events[run_id] = {}
            for record in records_of_run(self._instance, run_id, {_MATERIALIZED, _PLANNED}):
                key, study = record.asset_key, record.partition_key
                if key not in self._keys or key is None or study is None:
                    continue
                events = by_study.setdefault(study, _StudyEvents())
                if record.asset_materialization:
                    events.stored[key] = versions_of(record.asset_materialization.metadata)
                else:
                    events.planned.add(key)
        return self._events[run_id]


def mark_run(run: StudyRun, name: str, stores: Iterable[PipelineStore]) -> list[int]:
    """Mark what a run stored; return the number of artifacts in each store.

    Args:
        run: The run.
        name: Name of the mark.
        stores: The stores, in the order in which they are marked. If one can't be marked, the
            marks in those before it are removed, unless they existed.

    Raises:
        MarkError: The name is not valid, the study has another mark of that name, or the run
            stored nothing in these stores.
        ArtifactNotFoundError: A version is no longer stored.
    """
    by_store = [(store, run.of_store(store)) for store in stores]
    if not any(versions for _, versions in by_store):
        raise MarkError(
            f"Run {run.run_id} of study {run.study_key} stored nothing in the stores that "
            "ORCH_STORE and ORCH_RESTRICTED_STORE name now."
        )
    new = []
    try:
        for store, versions in by_store:
            if versions:
                is_new = not _has_mark(store, name, run.study_key)
                store.mark(name, versions, study=run.study_key, run=run.run_id)
                new += [store] if is_new else []
    except (MarkError, ArtifactNotFoundError):
        for store in new:
            store.remove_mark(name, study=run.study_key)
        raise
    return [len(versions) for _, versions in by_store]


def _has_mark(store: PipelineStore, name: str, study_key: str) -> bool:
    return any((each.name, each.study) == (name, study_key) for each in store.marks())


def _listed(keys: Iterable[dg.AssetKey]) -> str:
    return ", ".join(sorted(key.to_user_string() for key in keys)) or "nothing"
