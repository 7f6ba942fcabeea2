"""Runs that a command starts in its own process, made so that the UI can re-execute them."""

import sys
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dagster as dg

from orch_assets import errors
from orch_assets.defs.dagster_internals import (
    InMemoryJob,
    LoadableTargetOrigin,
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
    execute_run,
)
from orch_assets.defs.partitions import (
    STUDIES_NAME,
    contiguous_pieces,
    is_run_over_studies,
    range_of,
    range_tags,
)
from orch_assets.defs.runs.abandoned_runs import NO_RETRIES, process_tag
from orch_assets.errors import OrchestratorError
from orch_assets.signals import undisturbed

# workspace.yaml and pyproject.toml have this name, too; `dagster -m orch_assets` derives it.
LOCATION_NAME: Final = "orch_assets"
COMMAND_TAG: Final = "orch_assets/command"

_REPOSITORY: Final = "__repository__"
_MODULE: Final = "orch_assets.definitions"
_RUNS_LOOKED_AT: Final = 50
_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def job_origin(job_name: str) -> RemoteJobOrigin:
    """Return where a job is found again: in the code location ``orch_assets``."""
    target = LoadableTargetOrigin(
        executable_path=sys.executable,
        module_name=_MODULE,
        working_directory=str(Path.cwd()),
        attribute="defs",
    )
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, LOCATION_NAME)
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, _REPOSITORY), job_name)


@dataclass(frozen=True)
class PlannedRun:
    """A run over studies that a command is about to start.

    Attributes:
        study_keys: its studies, which stand together in partition order.
        job_name: what runs.
        parent: the run that it re-executes from failure; None for a new run.
    """

    study_keys: list[str]
    job_name: str
    parent: dg.DagsterRun | None = None

    @property
    def resumption(self) -> str:
        """What the run re-executes, for people."""
        first, last, count = self.study_keys[0], self.study_keys[-1], len(self.study_keys)
        of = f"of {count} studies, {first} to {last}" if count > 1 else f"of study {first}"
        parent = self.parent.run_id if self.parent else None
        return f"Re-executing from failure: run {parent} {of} …"

    def results(self, job: dg.JobDefinition) -> int:
        """Return how many results the run will have: one for each study and asset."""
        selection = self.parent.asset_selection if self.parent else None
        return len(self.study_keys) * len(selection or job.asset_layer.selected_asset_keys)


def new_command_id() -> str:
    """Return what the runs of one command are tagged with, so that they are known as its own."""
    return str(uuid.uuid4())


def plan_runs(
    instance: dg.DagsterInstance, job_name: str, study_keys: Collection[str]
) -> list[PlannedRun]:
    """Return the runs of a job over studies: one, or one for each piece between other studies."""
    known = instance.get_dynamic_partitions(STUDIES_NAME)
    return [PlannedRun(piece, job_name) for piece in contiguous_pieces(study_keys, known)]


def plan_resumption(
    instance: dg.DagsterInstance, keys: Iterable[dg.AssetKey]
) -> list[PlannedRun] | None:
    """Return the runs that re-execute from failure what failed last; None if nothing ran yet.

    What ran last is the newest run over studies, with the other runs of the command that started
    it. A run that was interrupted is re-executed likewise.

    Args:
        instance: whose runs.
        keys: assets of the study graphs.

    Raises:
        OrchestratorError: a run goes on, or lost a study at an end of its range.
    """
    last = last_runs(instance, frozenset(keys))
    if not last:
        return None
    if going_on := [run.run_id for run in last if not run.is_finished]:
        raise OrchestratorError(
            f"Run {', '.join(going_on)} goes on. Wait for its end; or, if its process is gone, "
            f"close it with `orch-assets runs close {' '.join(going_on)}`."
        )
    known = instance.get_dynamic_partitions(STUDIES_NAME)
    # The UI gives a re-execution its parent's tags: what it took over isn't run again.
    taken_over = {run.parent_run_id for run in last}
    return [
        PlannedRun(_studies_of(run, known), run.job_name, run)
        for run in last
        if run.status != dg.DagsterRunStatus.SUCCESS and run.run_id not in taken_over
    ]


def runs_of_command(instance: dg.DagsterInstance, command_id: str) -> list[str]:
    """Return the IDs of the runs over studies that a command has started, oldest first."""
    wanted = dg.RunsFilter(tags={COMMAND_TAG: command_id})
    return [run.run_id for run in reversed(instance.get_runs(filters=wanted))]


def _studies_of(run: dg.DagsterRun, known: Sequence[str]) -> list[str]:
    first, last = range_of(run)
    if gone := [study_key for study_key in (first, last) if study_key not in known]:
        raise OrchestratorError(
            f"Run {run.run_id} was over the studies {first} to {last}, and {gone[0]} is retired: "
            "it can't be re-executed. Run all with `orch-assets run`, or one with --study."
        )
    return list(known[known.index(first) : known.index(last) + 1])


def last_runs(
    instance: dg.DagsterInstance, keys: frozenset[dg.AssetKey]
) -> Sequence[dg.DagsterRun]:
    """Return the newest run over studies, with the other runs of the command that started it."""
    newest = next(_runs_over_studies(instance, keys), None)
    command_id = newest.tags.get(COMMAND_TAG) if newest else None
    if newest is None or command_id is None:
        return [newest] if newest else []
    tagged = instance.get_runs(filters=dg.RunsFilter(tags={COMMAND_TAG: command_id}))
    return [run for run in reversed(tagged) if is_run_over_studies(run, keys)]


def _runs_over_studies(
    instance: dg.DagsterInstance, keys: frozenset[dg.AssetKey]
) -> Iterator[dg.DagsterRun]:
    """Yield the runs over studies, newest first."""
    cursor = None
    while runs := instance.get_runs(cursor=cursor, limit=_RUNS_LOOKED_AT):
        yield from (run for run in runs if is_run_over_studies(run, keys))
        cursor = runs[-1].run_id


def run_planned(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    planned: PlannedRun,
    command_id: str,
    *,
    on_event: Callable[[Any], None],
) -> dg.DagsterRun:
    """Run or re-execute the job over studies in this process; return the ended run.

    Args:
        instance: where the run is recorded.
        job: the planned run's job.
        planned: what to run.
        command_id: is the same for all runs of one command.
        on_event: is called with each entry of the run's log.

    Raises:
        KeyboardInterrupt: as ``run_job``.
    """
    tags = range_tags(planned.study_keys[0], planned.study_keys[-1]) | {COMMAND_TAG: command_id}
    if planned.parent is not None:
        tags["dagster/is_resume_retry"] = "true"
    return run_job(instance, job, tags=tags, on_event=on_event, parent=planned.parent)


def run_job(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    *,
    tags: Mapping[str, str] | None = None,
    on_event: Callable[[Any], None] | None = None,
    parent: dg.DagsterRun | None = None,
) -> dg.DagsterRun:
    """Run a job of the code location in this process; return the ended run.

    Args:
        instance: where the run is recorded.
        job: what to run.
        tags: the run's tags.
        on_event: is called with each entry of the run's log.
        parent: the run that this one re-executes.

    Raises:
        KeyboardInterrupt: the run was interrupted; what had ended by then is recorded.
    """
    selection = parent.asset_selection if parent else None
    run_id = str(uuid.uuid4())
    run = instance.create_run_for_job(
        job.get_subset(asset_selection=selection) if selection else job,
        run_id=run_id,
        run_config=_QUIET,
        tags={**job.run_tags, **(tags or {}), **process_tag(run_id), **NO_RETRIES},
        parent_run_id=parent.run_id if parent else None,
        root_run_id=(parent.root_run_id or parent.run_id) if parent else None,
        asset_selection=selection,
        remote_job_origin=job_origin(job.name),
    )
    if on_event is not None:
        instance.add_event_listener(run.run_id, on_event)
    try:
        # Not raised: Dagster would take a failed study for a broken run.
        execute_run(InMemoryJob(job), run, instance, raise_on_error=False)
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError) as interruption:
        with undisturbed():
            _end(instance, run.run_id)
        raise KeyboardInterrupt from interruption
    ended = instance.get_run_by_id(run.run_id) or run
    if _was_interrupted(ended):
        raise KeyboardInterrupt
    return ended


def _end(instance: dg.DagsterInstance, run_id: str) -> None:
    """End a run that was interrupted where Dagster doesn't end it, such as before its first step.

    Else it would seem to go on for ever.
    """
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        instance.report_run_canceled(run)


def _was_interrupted(run: dg.DagsterRun) -> bool:
    """Whether a run was stopped: Dagster records that, and doesn't raise it."""
    reason = run.tags.get("dagster/failure_reason")
    return run.status == dg.DagsterRunStatus.CANCELED or reason == "UNEXPECTED_TERMINATION"


@dataclass(frozen=True)
class RunFailure:
    """Why a run failed.

    Attributes:
        text: for people.
        of_studies: whether studies were run and some failed; else the run itself couldn't go on.
    """

    text: str
    of_studies: bool


def failure_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> RunFailure | None:
    """Return why a run failed; None for one that succeeded."""
    if run.status == dg.DagsterRunStatus.SUCCESS:
        return None
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        failed = entry.get_dagster_event().step_failure_data
        told = failed.user_failure_data
        if told is not None and told.description is not None:
            return RunFailure(told.description, of_studies="failed_studies" in told.metadata)
        return RunFailure(_error_text(run, failed.error), of_studies=False)
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE):
        error = entry.get_dagster_event().job_failure_data.error
        return RunFailure(_error_text(run, error), of_studies=False)
    return RunFailure(_error_text(run, None), of_studies=False)


def _error_text(run: dg.DagsterRun, error: Any) -> str:
    """Return the message of an error of ours, which holds no data, else the error's type."""
    chain = []
    while error is not None:
        chain.append(error)
        error = error.cause
    for each in chain:  # ours says what the error below it means
        if each.cls_name is not None and hasattr(errors, each.cls_name):
            return str(each.message).strip().removeprefix(f"{errors.__name__}.")
    name = chain[-1].cls_name if chain else None
    what = f"{name} " if name else ""
    return f"{what}ended run {run.run_id} ({run.job_name}); the run's log in the UI says more."
