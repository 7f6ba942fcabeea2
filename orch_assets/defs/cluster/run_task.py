"""What a worker does with a run that the broker delivers: executes it, unless another one does."""

import logging
import time
from collections.abc import Callable

import dagster as dg

from orch_assets.defs.cluster.database_waits import while_away
from orch_assets.defs.cluster.run_claims import WAITING, Heartbeats, RunClaim, Silence
from orch_assets.defs.cluster.run_lease import RunLease
from orch_assets.defs.dagster_internals import execute_created_run
from orch_assets.run_guard import guarded_by
from orch_assets.signals import interrupting, undisturbed

_LOGGER = logging.getLogger(__name__)


def execute_delivered_run(
    instance: dg.DagsterInstance, run_id: str, heartbeats: Heartbeats
) -> bool:
    """Execute a run to its end; return False if it has ended, or if another process executes it."""
    claim = RunClaim(instance, run_id)
    if not while_away(lambda: take_delivered(claim, heartbeats), heartbeats.away_seconds):
        _LOGGER.warning("Run %s was delivered again: nothing to do.", run_id)
        return False
    with interrupting(last=False) as first:
        lease = RunLease(claim, heartbeats, interrupted=lambda: first() is not None)
        with guarded_by(lease), lease.beating():
            try:
                execute_created_run(instance, run_id)
            except BaseException as error:  # noqa: BLE001 - the run must have an end all the same
                _LOGGER.error("Run %s ended with %s.", run_id, type(error).__name__)  # noqa: TRY400
            with undisturbed():
                _end_unfinished(instance, run_id)
                # Only a run that has an end is given back: one without is found by its silence.
                claim.drop()
    return True


def take_delivered(
    claim: RunClaim, heartbeats: Heartbeats, sleep: Callable[[float], None] = time.sleep
) -> bool:
    """Claim a run that waits to be executed; return False if it doesn't.

    The process that has claimed it may have died before it began. That is awaited as long as for
    any dead run.
    """
    if not claim.take() and not _take_silent(claim, heartbeats, sleep):
        return False
    if claim.status() in WAITING:
        return True
    claim.drop()
    return False


def _take_silent(claim: RunClaim, heartbeats: Heartbeats, sleep: Callable[[float], None]) -> bool:
    silence, seconds = Silence(heartbeats), 0.0
    while claim.status() in WAITING:
        note = claim.note()
        if note is None:
            return claim.take()
        if silence.look(note, seconds) >= heartbeats.dead_after_seconds:
            return claim.take_over(note)
        sleep(heartbeats.every_seconds)
        seconds += heartbeats.every_seconds
    return False


def _end_unfinished(instance: dg.DagsterInstance, run_id: str) -> None:
    """Record an end of a run that was executed and has none: nothing else would for long."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return
    if run.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run)
    else:
        instance.report_run_failed(run, "The worker couldn't execute the run to its end.")
