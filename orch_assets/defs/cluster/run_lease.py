"""A run's right to go on, which its process renews by heartbeats.

A process that is cut off for too long, by a pause or by the network, must expect that its run has
been named dead and is executed elsewhere. It then publishes and records nothing before it has
renewed its lease; and if its run has ended for all others, the process ends.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn, TypeVar

import dagster as dg

from orch_assets.defs.cluster.run_claims import Heartbeats, RunClaim, is_away

T = TypeVar("T")

_ENDS: Final = frozenset(
    {
        dg.DagsterEventType.RUN_SUCCESS,
        dg.DagsterEventType.RUN_FAILURE,
        dg.DagsterEventType.RUN_CANCELED,
    }
)
_AWAY_SECONDS: Final = 1.0
# Of sysexits.h: an internal error of a system that the process belongs to.
_EXIT_CODE: Final = 70


def _boot_seconds() -> float:
    """Return seconds that also pass while the machine sleeps."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


def _end_process(reason: str) -> NoReturn:
    """End this process at once, like a kill -9: nothing of its run may go on."""
    sys.stderr.write(f"{reason} This process ends, and has published nothing since.\n")
    sys.stderr.flush()
    os._exit(_EXIT_CODE)


class RunLease:
    """The lease of a run that this process executes; implements ``run_guard.RunGuard``.

    Args:
        claim: The run, claimed by this process.
        heartbeats: How often the lease is renewed, and how long it lasts.
        clock: Returns seconds.
        end: Ends the process.
        interrupt: Interrupts the run, as its host does.
    """

    def __init__(
        self,
        claim: RunClaim,
        heartbeats: Heartbeats,
        *,
        clock: Callable[[], float] = _boot_seconds,
        end: Callable[[str], NoReturn] = _end_process,
        interrupt: Callable[[], object] = lambda: os.kill(os.getpid(), signal.SIGTERM),
    ) -> None:
        self._claim = claim
        self._heartbeats = heartbeats
        self._clock = clock
        self._end = end
        self._interrupt = interrupt
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._confirmed = clock()
        self._number = 0
        self._seen_canceling = 0
        # Set before this process itself records the end of its run.
        self._ending = False

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Renew the lease during the block, and guard each event that the instance stores."""
        instance: Any = self._claim.instance
        thread = threading.Thread(target=self._beat, name="heartbeats", daemon=True)
        handle = instance.handle_new_event

        def handle_guarded(event: dg.EventLogEntry, **further: Any) -> None:
            is_end = event.dagster_event and event.dagster_event.event_type in _ENDS
            if is_end:
                self._renew_now()
                self._ending = True
            try:
                self.storing(lambda: handle(event, **further))
            except BaseException:
                # Unless an earlier event of this process has ended the run.
                self._ending = self._ending and not is_end
                raise

        instance.handle_new_event = handle_guarded
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            thread.join()
            del instance.handle_new_event

    def require(self) -> None:
        """Return if the run may go on; wait until that is known; end the process if it may not."""
        if self._clock() - self._confirmed >= self._heartbeats.sure_seconds:
            self._renew_now()

    def storing(self, call: Callable[[], T]) -> T:
        """Make a call that writes to Dagster's database; wait while the database is away."""
        while True:
            self.require()
            try:
                return call()
            except Exception as error:
                if not is_away(error):
                    raise
            time.sleep(_AWAY_SECONDS)

    def renew(self) -> None:
        """Show that the process lives, and see whether its run goes on.

        Raises:
            Exception: The database is away: the lease is as old as before.
        """
        with self._lock:
            begun = self._clock()
            self._number += 1
            claimed, status = self._claim.beat(self._number), self._claim.status()
            if self._ending:
                return
            if not claimed or status is None or _is_end(status):
                what = f"is {status.value}" if claimed and status else "belongs to another process"
                self._end(f"Run {self._claim.run_id} {what}.")
            self._confirmed = begun
            self._note_canceling(status)

    def _note_canceling(self, status: dg.DagsterRunStatus) -> None:
        """Interrupt a run whose cancellation the broker didn't deliver: at the second heartbeat.

        Two interrupts at once would disturb the recording of what had finished.
        """
        self._seen_canceling += status == dg.DagsterRunStatus.CANCELING
        if self._seen_canceling == 2:  # noqa: PLR2004 - the second
            self._interrupt()

    def _renew_now(self) -> None:
        while not self._ending:
            try:
                self.renew()
            except Exception as error:
                if not is_away(error):
                    raise
                time.sleep(_AWAY_SECONDS)
            else:
                return

    def _beat(self) -> None:
        seconds = self._heartbeats.every_seconds
        while not self._stopped.wait(seconds):
            try:
                self.renew()
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
