"""Finds and closes unfinished runs whose process is gone.

A process that is killed (SIGKILL, out of memory, a power cut) can't record the end of its run, so
Dagster considers the run to be in progress. A run that the command starts is tagged with its
process, so that this module can check whether the process still exists. It can't check other runs;
the daemon's run monitoring may know more about them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import dagster as dg

from orch_assets.defs.dagster_internals import (
    NOT_FINISHED_STATUSES,
    JobFailureData,
    RunFailureReason,
)
from orch_assets.defs.partitions import is_run_over_studies, range_of
from orch_assets.defs.runs.processes import Process

PROCESS_TAG: Final = "orch_assets/process"

# Whoever types the command sees how the run ends, so the daemon must not retry it unasked.
NO_RETRIES: Final = {"dagster/max_retries": "0"}


def process_tag(run_id: str) -> dict[str, str]:
    """Return the tag that names this process as the one that executes a run.

    The tag includes the run's ID, because the UI copies a run's tags to its re-executions.
    """
    return {PROCESS_TAG: f"{run_id} {Process.this().to_json()}"}


@dataclass(frozen=True)
class UnfinishedRun:
    """A run that hasn't ended according to Dagster; it may not have started either.

    Attributes:
        run: The run.
        created: When the run was created, in UTC.
        process: The process that executes the run. None if the run doesn't name one.
        is_executed: Whether a process executes the run. None if that isn't known.
    """

    run: dg.DagsterRun
    created: datetime
    process: Process | None
    is_executed: bool | None

    def describe(self) -> str:
        """Describe the run for people: its job, status, age, process and studies."""
        age = datetime.now(UTC) - self.created
        parts = [
            self.run.job_name,
            self.run.status.value,
            f"created {_duration(age.total_seconds())} ago",
        ]
        if self.process is not None:
            parts.append(f"by process {self.process.pid} on {self.process.host}")
        if is_run_over_studies(self.run):
            first, last = range_of(self.run)
            parts.append(f"study {first}" if first == last else f"studies {first} to {last}")
        return ", ".join(parts)


def unfinished_runs(instance: dg.DagsterInstance) -> list[UnfinishedRun]:
    """Return the unfinished runs of an instance, oldest first."""
    filters = dg.RunsFilter(statuses=NOT_FINISHED_STATUSES)
    unfinished = []
    for record in reversed(instance.get_run_records(filters)):
        run = record.dagster_run
        process = _process_of(run.run_id, run.tags)
        created = record.create_timestamp.replace(tzinfo=UTC)
        is_executed = process.lives() if process else None
        unfinished.append(UnfinishedRun(run, created, process, is_executed))
    return unfinished


def close_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """End a run that no process executes, unless it has ended in the meantime.

    The run is marked as failed, as if its host had stopped it, and isn't retried. Completed results
    are kept, and ``orch-assets run --failed`` continues from there. A run that was being cancelled
    is marked as cancelled instead.
    """
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return
    if run.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, "Closed: its process is gone.")
        return
    instance.add_run_tags(run_id, NO_RETRIES)
    reason = JobFailureData(error=None, failure_reason=RunFailureReason.UNEXPECTED_TERMINATION)
    message = "Closed by `orch-assets runs close`: its process is gone."
    instance.report_run_failed(run, message, reason)


def _process_of(run_id: str, tags: Mapping[str, str]) -> Process | None:
    tagged_run_id, _, process = tags.get(PROCESS_TAG, "").partition(" ")
    return Process.from_json(process) if tagged_run_id == run_id else None


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} seconds"
