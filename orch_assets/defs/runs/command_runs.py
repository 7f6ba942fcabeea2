"""Runs that a command executes in its own process, and that the UI can re-execute."""

import collections
import itertools
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg

from orch_assets import errors
from orch_assets.defs.dagster_internals import (
    InMemoryJob,
    RemoteJobOrigin,
    execute_run_iterator,
)
from orch_assets.defs.partitions import (
    STUDIES_NAME,
    contiguous_pieces,
    is_run_over_studies,
    range_of,
    range_tags,
)
from orch_assets.defs.run_failure import FAILED_STUDIES
from orch_assets.defs.runs.abandoned_runs import NO_RETRIES, process_tag
from orch_assets.defs.runs.earlier_results import records_of_run
from orch_assets.defs.runs.reading_options import ReadingOptions
from orch_assets.defs.settings.command_settings import CommandSettings
from orch_assets.errors import OrchestratorError
from orch_assets.signals import undisturbed

COMMAND_TAG: Final = "orch_assets/command"
# Runs with the same value were started together: by a command, by a tick of a schedule or sensor,
# or by a backfill.
_TOGETHER: Final = (COMMAND_TAG, "dagster/tick", "dagster/backfill")

_RUNS_PER_QUERY: Final = 50
_AS_USUAL: Final = ReadingOptions()
_NO_SETTINGS: Final = CommandSettings()
_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class PlannedRun:
    """A run over studies that a command is about to start.

    Attributes:
        study_keys: Keys of its studies, which are contiguous in partition order.
        job_name: Name of the job.
        selection: Keys of the assets to run. None means all of the job.
        parent: The run that it re-executes from failure. None for a new run.
        reading: How it reads tables.
        settings: Settings of its pipelines.
    """

    study_keys: list[str]
    job_name: str
    selection: AbstractSet[dg.AssetKey] | None = None
    parent: dg.DagsterRun | None = None
    reading: ReadingOptions = _AS_USUAL
    settings: CommandSettings = _NO_SETTINGS

    @property
    def resumption(self) -> str:
        """A line that says which run and studies are re-executed."""
        first, last, count = self.study_keys[0], self.study_keys[-1], len(self.study_keys)
        scope = f"of {count} studies, {first} to {last}" if count > 1 else f"of study {first}"
        parent = self.parent.run_id if self.parent else None
        return f"Re-executing from failure: run {parent} {scope} …"

    def results(self, job: dg.JobDefinition) -> int:
        """Return the number of results that the run will have: one for each study and asset."""
        return len(self.study_keys) * len(self.selection or job.asset_layer.selected_asset_keys)


def new_command_id() -> str:
    """Return a new ID with which all runs of one command are tagged."""
    return str(uuid.uuid4())


def plan_runs(
    instance: dg.DagsterInstance,
    job_name: str,
    study_keys: Collection[str],
    selection: Collection[dg.AssetKey] = (),
    reading: ReadingOptions = _AS_USUAL,
    settings: CommandSettings = _NO_SETTINGS,
) -> list[PlannedRun]:
    """Return the runs that cover the studies: one for each contiguous range of partitions.

    Args:
        instance: The instance that knows the studies.
        job_name: Name of the job.
        study_keys: Keys of the studies to run.
        selection: Keys of the assets to run. Empty means all of the job.
        reading: How the runs read tables.
        settings: Settings of the runs' pipelines.
    """
    known = instance.get_dynamic_partitions(STUDIES_NAME)
    chosen = frozenset(selection) or None
    return [
        PlannedRun(piece, job_name, chosen, reading=reading, settings=settings)
        for piece in contiguous_pieces(study_keys, known)
    ]


def plan_resumption(
    instance: dg.DagsterInstance,
    keys: Iterable[dg.AssetKey],
    reading: ReadingOptions = _AS_USUAL,
) -> list[PlannedRun] | None:
    """Return runs that re-execute the last failed runs from failure; None if nothing ran yet.

    The last runs are the newest run over studies and the others that were started with it: by one
    command, one tick of a schedule or sensor, or one backfill. Interrupted runs are re-executed in
    the same way. A re-execution keeps the settings and the reading options of its run, as one from
    the UI does.

    Args:
        instance: The instance that recorded the runs.
        keys: Keys of the assets of the study graphs.
        reading: Further options.

    Raises:
        OrchestratorError: A run is in progress, the first or last study of its range is retired, or
            the range has other studies since one was retired and returned.
    """
    of_graph = frozenset(keys)
    last = last_runs(instance, of_graph)
    if not last:
        return None
    if in_progress := [run.run_id for run in last if not run.is_finished]:
        raise OrchestratorError(
            f"Run {', '.join(in_progress)} is in progress. Wait until it ends or, if its process "
            f"is gone, close it with `orch-assets runs close {' '.join(in_progress)}`."
        )
    # The UI copies a run's tags to its re-executions, so the last runs may include both. What a
    # re-execution has taken over isn't run again.
    taken_over = {run.parent_run_id for run in last}
    return [
        PlannedRun(
            _studies_of(instance, run, of_graph),
            run.job_name,
            run.asset_selection,
            run,
            ReadingOptions.of({**run.tags, **reading.tags}),
            _settings_of(run),
        )
        for run in last
        if run.status != dg.DagsterRunStatus.SUCCESS and run.run_id not in taken_over
    ]


def _settings_of(run: dg.DagsterRun) -> CommandSettings:
    config: Mapping[str, Any] = run.run_config
    return CommandSettings(ops=config.get("ops", {}))


def runs_of_command(instance: dg.DagsterInstance, command_id: str) -> list[str]:
    """Return the IDs of the runs over studies that a command has started, oldest first."""
    tagged = instance.get_runs(filters=dg.RunsFilter(tags={COMMAND_TAG: command_id}))
    return [run.run_id for run in reversed(tagged)]


def _studies_of(
    instance: dg.DagsterInstance, run: dg.DagsterRun, keys: frozenset[dg.AssetKey]
) -> list[str]:
    """Return the studies that a re-execution of a run is over: the run's, but for retired ones."""
    first, last = range_of(run)
    known = instance.get_dynamic_partitions(STUDIES_NAME)
    if retired := [study_key for study_key in (first, last) if study_key not in known]:
        raise _not_resumable(run, f"{retired[0]} is retired")
    studies = list(known[known.index(first) : known.index(last) + 1])
    planned = _planned_studies(instance, run, keys)
    if planned and planned.intersection(known) != set(studies):
        raise _not_resumable(
            run,
            "that range now has other studies than the run planned, as when one was retired and "
            "returned",
        )
    return studies


def _planned_studies(
    instance: dg.DagsterInstance, run: dg.DagsterRun, keys: frozenset[dg.AssetKey]
) -> set[str]:
    """Return the studies that were planned for the first of a run's assets; empty without events.

    Dagster plans one asset after the other, so this reads the events of little more than one.
    """
    planned = {dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED}
    records = (e for e in records_of_run(instance, run.run_id, planned) if e.asset_key in keys)
    first = itertools.islice(itertools.groupby(records, lambda record: record.asset_key), 1)
    return {each.partition_key for _, of_asset in first for each in of_asset if each.partition_key}


def _not_resumable(run: dg.DagsterRun, reason: str) -> OrchestratorError:
    first, last = range_of(run)
    return OrchestratorError(
        f"Run {run.run_id} covered the studies {first} to {last}, but {reason}: it can't be "
        "re-executed. Run all with `orch-assets run`, or one with --study."
    )


def last_runs(
    instance: dg.DagsterInstance, keys: frozenset[dg.AssetKey]
) -> Sequence[dg.DagsterRun]:
    """Return the newest run over studies and the runs started with it; see ``plan_resumption``."""
    newest = next(_runs_over_studies(instance, keys), None)
    if newest is None:
        return []
    together = {tag: newest.tags[tag] for tag in _TOGETHER if tag in newest.tags}
    if not together:
        return [newest]
    tagged = instance.get_runs(filters=dg.RunsFilter(tags=together))
    return [run for run in reversed(tagged) if is_run_over_studies(run, keys)]


def _runs_over_studies(
    instance: dg.DagsterInstance, keys: frozenset[dg.AssetKey]
) -> Iterator[dg.DagsterRun]:
    """Yield the runs over studies, newest first."""
    cursor = None
    while runs := instance.get_runs(cursor=cursor, limit=_RUNS_PER_QUERY):
        yield from (run for run in runs if is_run_over_studies(run, keys))
        cursor = runs[-1].run_id


def run_planned(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    planned: PlannedRun,
    command_id: str,
    *,
    origin: RemoteJobOrigin,
    on_event: Callable[[Any], None],
) -> dg.DagsterRun:
    """Execute a planned run in this process; return the run after its end.

    Args:
        instance: The instance that records the run.
        job: The job of the planned run.
        planned: The run to execute.
        command_id: The ID of the command, the same for all its runs.
        origin: The job's origin, by which the UI finds it again.
        on_event: Called with each entry of the run's log.

    Raises:
        KeyboardInterrupt: The run was interrupted; see ``run_job``.
    """
    first, last = planned.study_keys[0], planned.study_keys[-1]
    tags = {**range_tags(first, last), COMMAND_TAG: command_id, **planned.reading.tags}
    if planned.parent is not None:
        tags["dagster/is_resume_retry"] = "true"
    return run_job(
        instance,
        job,
        origin,
        tags=tags,
        ops=planned.settings.ops,
        on_event=on_event,
        selection=planned.selection,
        parent=planned.parent,
    )


def run_job(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    origin: RemoteJobOrigin,
    *,
    tags: Mapping[str, str] | None = None,
    ops: Mapping[str, Any] | None = None,
    on_event: Callable[[Any], None] | None = None,
    selection: AbstractSet[dg.AssetKey] | None = None,
    parent: dg.DagsterRun | None = None,
) -> dg.DagsterRun:
    """Run a job of the code location in this process; return the run after its end.

    Args:
        instance: The instance that records the run.
        job: The job.
        origin: Its origin, by which the UI finds it again.
        tags: Additional tags of the run.
        ops: Configuration of its ops.
        on_event: Called with each entry of the run's log.
        selection: Keys of the assets to run. None means all of the job.
        parent: The run that this one re-executes.

    Raises:
        KeyboardInterrupt: The run was interrupted. What had ended by then is recorded.
    """
    run_id = str(uuid.uuid4())
    run = instance.create_run_for_job(
        job.get_subset(asset_selection=selection) if selection else job,
        run_id=run_id,
        run_config={**_QUIET, "ops": dict(ops)} if ops else _QUIET,
        tags={**job.run_tags, **(tags or {}), **process_tag(run_id), **NO_RETRIES},
        parent_run_id=parent.run_id if parent else None,
        root_run_id=(parent.root_run_id or parent.run_id) if parent else None,
        asset_selection=selection,
        remote_job_origin=origin,
    )
    if on_event is not None:
        instance.add_event_listener(run.run_id, on_event)
    try:
        # Dagster's other functions keep all events of the run in memory.
        collections.deque(execute_run_iterator(InMemoryJob(job), run, instance), maxlen=0)
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError) as interruption:
        with undisturbed():
            _end(instance, run.run_id)
        raise KeyboardInterrupt from interruption
    ended = instance.get_run_by_id(run.run_id) or run
    if _was_interrupted(ended):
        raise KeyboardInterrupt
    return ended


def _end(instance: dg.DagsterInstance, run_id: str) -> None:
    """Cancel an interrupted run that Dagster hasn't ended, such as before its first step.

    Otherwise Dagster would consider it to be in progress for ever.
    """
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        instance.report_run_canceled(run)


def _was_interrupted(run: dg.DagsterRun) -> bool:
    """Whether a run was interrupted: Dagster records that instead of raising an error."""
    reason = run.tags.get("dagster/failure_reason")
    return run.status == dg.DagsterRunStatus.CANCELED or reason == "UNEXPECTED_TERMINATION"


@dataclass(frozen=True)
class RunFailure:
    """Why a run failed.

    Attributes:
        text: The reason, for people.
        of_studies: Whether studies were run and some failed. Otherwise the run itself failed.
    """

    text: str
    of_studies: bool


def failure_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> RunFailure | None:
    """Return why a run failed; None if it succeeded."""
    if run.status == dg.DagsterRunStatus.SUCCESS:
        return None
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        failed = entry.get_dagster_event().step_failure_data
        reported = failed.user_failure_data
        if reported is not None and reported.description is not None:
            of_studies = FAILED_STUDIES in reported.metadata
            return RunFailure(reported.description, of_studies=of_studies)
        return RunFailure(_error_text(run, failed.error), of_studies=False)
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE):
        error = entry.get_dagster_event().job_failure_data.error
        return RunFailure(_error_text(run, error), of_studies=False)
    return RunFailure(_error_text(run, None), of_studies=False)


def _error_text(run: dg.DagsterRun, error: Any) -> str:
    """Return the message of this package's own error, or else only the type of the error.

    Messages of other errors may contain data.
    """
    chain = []
    while error is not None:
        chain.append(error)
        error = error.cause
    for each in chain:  # this package's error explains the error that caused it
        if each.cls_name is not None and hasattr(errors, each.cls_name):
            return str(each.message).strip().removeprefix(f"{errors.__name__}.")
    name = chain[-1].cls_name if chain else None
    cause = f" with {name}" if name else ""
    return f"Run {run.run_id} ({run.job_name}) failed{cause}. See the run's log in the UI."
