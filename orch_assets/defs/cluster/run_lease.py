"""A run's right to go on, which its process renews by heartbeats.

A process that is cut off for too long, by a pause or by the network, must expect that its run has
been named dead and is executed elsewhere. It then publishes and records nothing before it has
renewed its lease; and if its run has ended for all others, the process ends.
"""

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn, TypeVar

import dagster as dg

from orch_assets.defs.cluster.database_waits import end_process, while_away
from orch_assets.defs.cluster.run_claims import Heartbeats, RunClaim
from orch_assets.defs.dagster_internals import stored_ids, waiting_storages

T = TypeVar("T")

_ENDS: Final = frozenset(
    {
        dg.DagsterEventType.RUN_SUCCESS,
        dg.DagsterEventType.RUN_FAILURE,
        dg.DagsterEventType.RUN_CANCELED,
    }
)
_AWAY_SECONDS: Final = 1.0


def _boot_seconds() -> float:
    """Return seconds that also pass while the machine sleeps."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


class RunLease:
    """The lease of a run that this process executes; implements ``run_guard.RunGuard``.

    Args:
        claim: The run, claimed by this process.
        heartbeats: How often the lease is renewed, and how long it lasts.
        clock: Returns seconds.
        end: Ends the process.
        interrupt: Interrupts the run, as its host does.
        interrupted: Returns whether the run was interrupted already.
    """

    def __init__(
        self,
        claim: RunClaim,
        heartbeats: Heartbeats,
        *,
        clock: Callable[[], float] = _boot_seconds,
        end: Callable[[str], NoReturn] = end_process,
        interrupt: Callable[[], object] = lambda: os.kill(os.getpid(), signal.SIGTERM),
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self._claim = claim
        self._heartbeats = heartbeats
        self._clock = clock
        self._end = end
        self._interrupt = interrupt
        self._interrupted = interrupted
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        # Another process may have taken the run over since it was claimed: nothing is sure yet.
        self._confirmed = -math.inf
        self._renewing: int | None = None
        self._status: dg.DagsterRunStatus | None = None
        self._number = 0
        self._seen_canceling = 0
        # The end that this process itself records, and whether that is done.
        self._own_end: dg.EventLogEntry | None = None
        self._ended = False

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Renew the lease during the block.

        Each use of the instance's database waits while the database is away, and then asks whether
        the run may go on.
        """
        instance: Any = self._claim.instance
        thread = threading.Thread(target=self._keep_beating, name="heartbeats", daemon=True)
        handle = instance.handle_new_event

        def handle_guarded(event: dg.EventLogEntry, **further: Any) -> None:
            self.require()
            if event.dagster_event and event.dagster_event.event_type in _ENDS:
                self._record_end(event, lambda: handle(event, **further))
            else:
                handle(event, **further)

        instance.handle_new_event = handle_guarded
        try:
            with waiting_storages(instance, self.storing):
                thread.start()
                try:
                    yield
                finally:
                    self._stopped.set()
                    thread.join()
        finally:
            del instance.handle_new_event

    def require(self) -> None:
        """Return if the run may go on; wait until that is known; end the process if it may not."""
        if self._renewing == threading.get_ident() or self._ended:
            return
        if self._clock() - self._confirmed >= self._heartbeats.sure_seconds:
            self._renew_now()

    def storing(self, call: Callable[[], T]) -> T:
        """Make a call to Dagster's database; wait while the database is away."""
        if self._renewing == threading.get_ident():
            return call()
        return while_away(call, self._heartbeats.away_seconds, before=self.require, end=self._end)

    def renew(self) -> None:
        """Show that the process lives, and see whether its run goes on.

        Raises:
            Exception: The database is away: the lease is as old as before.
        """
        with self._lock:
            self._renewing = threading.get_ident()
            try:
                self._renew()
            finally:
                self._renewing = None

    def _renew(self) -> None:
        begun = self._clock()
        self._number += 1
        claimed, status = self._claim.beat(self._number), self._claim.status()
        if self._ended:
            return
        is_over = status is None or (_is_end(status) and not self._is_own_end())
        if not claimed or is_over:
            what = f"is {status.value}" if claimed and status else "belongs to another process"
            self._end(f"Run {self._claim.run_id} {what}.")
        self._confirmed = begun
        self._status = status

    def _is_own_end(self) -> bool:
        """Return whether the run has ended because this process has recorded its end."""
        own = self._own_end
        return own is not None and bool(stored_ids(self._claim.instance.event_log_storage, [own]))

    def _record_end(self, event: dg.EventLogEntry, record: Callable[[], object]) -> None:
        """Record an end of the run, unless it has another one; then nothing may end the process."""
        self._renew_now()
        self._own_end = event
        record()
        self._ended = True

    def _renew_now(self) -> None:
        while_away(self.renew, self._heartbeats.away_seconds, end=self._end)

    def beat(self) -> None:
        """Renew the lease, and interrupt a run whose cancellation the broker didn't deliver.

        That is at the second heartbeat, and not if it was interrupted already: a second interrupt
        would disturb the recording of what had finished.
        """
        self.renew()
        if self._status != dg.DagsterRunStatus.CANCELING:
            return
        self._seen_canceling += 1
        if self._seen_canceling == 2 and not self._interrupted():  # noqa: PLR2004 - the second
            self._interrupt()

    def _keep_beating(self) -> None:
        seconds = self._heartbeats.every_seconds
        while not self._stopped.wait(seconds):
            try:
                self.beat()
                seconds = self._heartbeats.every_seconds
            except Exception:  # noqa: BLE001 - whatever it is, the lease runs out
                seconds = min(_AWAY_SECONDS, seconds)


def _is_end(status: dg.DagsterRunStatus) -> bool:
    ends = {
        dg.DagsterRunStatus.SUCCESS,
        dg.DagsterRunStatus.FAILURE,
        dg.DagsterRunStatus.CANCELED,
    }
    return status in ends
