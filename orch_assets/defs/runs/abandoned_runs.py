"""Runs that seem to go on and that nobody executes: found, and closed.

A process that is killed (SIGKILL, no memory, a power cut) can't say so, and Dagster takes its run
for one that goes on. A run of the command names its process, so that it is known to be gone. Of
other runs, the daemon's run monitoring may know more than can be known here.
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

# The person at the command sees how it ended: no daemon runs it a second time behind their back.
NO_RETRIES: Final = {"dagster/max_retries": "0"}


def process_tag(run_id: str) -> dict[str, str]:
    """Return the tag by which a run names this process as the one that executes it.

    The run's own ID is in it: the UI gives a run's tags to its re-executions.
    """
    return {PROCESS_TAG: f"{run_id} {Process.this().to_json()}"}


@dataclass(frozen=True)
class UnfinishedRun:
    """A run that Dagster takes for one that goes on, or that is to begin.

    Attributes:
        run: as Dagster has it.
        created: when, UTC.
        process: what executes it; None where the run doesn't name it.
        is_executed: whether somebody does; None where that isn't known.
    """

    run: dg.DagsterRun
    created: datetime
    process: Process | None
    is_executed: bool | None

    def describe(self) -> str:
        """Say for people what it is, how old, of which process and of which studies."""
        age = datetime.now(UTC) - self.created
        parts = [
            self.run.job_name,
            self.run.status.value,
            f"made {_duration(age.total_seconds())} ago",
        ]
        if self.process is not None:
            parts.append(f"by process {self.process.pid} of {self.process.host}")
        if is_run_over_studies(self.run):
            first, last = range_of(self.run)
            parts.append(f"study {first}" if first == last else f"studies {first} to {last}")
        return ", ".join(parts)


def unfinished_runs(instance: dg.DagsterInstance) -> list[UnfinishedRun]:
    """Return the runs of an instance that aren't finished, oldest first."""
    filters = dg.RunsFilter(statuses=NOT_FINISHED_STATUSES)
    found = []
    for record in reversed(instance.get_run_records(filters)):
        run = record.dagster_run
        process = _process_of(run.run_id, run.tags)
        created = record.create_timestamp.replace(tzinfo=UTC)
        found.append(UnfinishedRun(run, created, process, process.lives() if process else None))
    return found


def close_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """End a run that nobody executes, unless it has ended meanwhile.

    It fails, as if its host had stopped it, and isn't retried: what had succeeded stays, and
    ``orch-assets run --failed`` goes on from there. One that somebody was cancelling is cancelled.
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
    named_by, _, process = tags.get(PROCESS_TAG, "").partition(" ")
    return Process.from_json(process) if named_by == run_id else None


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} seconds"
