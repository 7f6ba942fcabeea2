"""Lanes: take many studies through their steps at once, each isolated from the others.

A *lane* is one study with its remaining steps. Plain steps run on daemon worker threads, ``async``
steps on one event loop, where hundreds can wait without a worker. The caller's thread receives one
:class:`StepResult` for every step of every lane, as they end. A failed step ends its own branch of
its own lane and nothing else.

A step that exceeds its timeout is abandoned: its lease is revoked, so that it can't publish, and
its thread is replaced and left running. Lanes that have started go first, so that the tables of
only a few studies are in memory at a time.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from orch_assets.orchestration.attempt import Attempt, Lane, backoff
from orch_assets.orchestration.defining.study_patterns import is_for
from orch_assets.orchestration.reporting.results import (
    CANCELLED,
    TIMEOUT,
    UPSTREAM_FAILED,
    Failure,
    describe_failure,
    early_end,
)
from orch_assets.orchestration.reporting.uncaught import recording_uncaught
from orch_assets.orchestration.step_executor import StepExecutor
from orch_assets.orchestration.steps import LaneStep, StepOutput, StepResult, StepRunner
from orch_assets.orchestration.threads import EventLoop, Timers, Workers

WAS_CANCELLED: Final = early_end(CANCELLED, "the run was cancelled")

# A commit is one rename or one PUT. A cancelled run waits this long for all commits together.
_COMMIT_SECONDS: Final = 10.0

# A signal that arrives just before a wait, or that the system delivers to another thread, doesn't
# end the wait: Python runs the handler only when the caller's thread continues on its own.
_SIGNAL_SECONDS: Final = 1.0


class Lanes:
    """Takes studies through their steps; use once.

    Args:
        runner: Runs the steps.
        max_workers: Maximum number of plain steps that run at once; ``async`` steps don't count.
        clock: Returns seconds, monotonic.
        backoff: Returns the seconds to wait after a number of failed tries of a step.

    Attributes:
        unattributed: Loggable texts of uncaught exceptions, raised in threads and finalizers during
            the run, that belong to no known study; as keys, each once.
    """

    def __init__(
        self,
        runner: StepRunner,
        max_workers: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        backoff: Callable[[int], float] = backoff,
    ) -> None:
        self.unattributed: dict[str, None] = {}
        self._workers = Workers(max_workers)
        self._loop = EventLoop()
        # A result leaves the deque only after the caller has received it: an interrupt can occur
        # between any two lines. The queue only wakes the caller; a signal handler may put to it.
        self._results: deque[StepResult] = deque()
        self._wakeups: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._timers = Timers(clock, on_earlier=self._wake)
        self._executor = StepExecutor(
            runner,
            self._workers,
            self._loop,
            self._timers,
            end=self._end,
            overdue=self._time_out,
            backoff=backoff,
        )
        self._lock = threading.Lock()
        self._running: set[Attempt] = set()
        self._pending: dict[str, dict[str, None]] = {}
        self._stopped = False
        self._cancel_cause: Failure | None = None

    # --- the caller's thread ---

    def run(self, studies: Mapping[str, Sequence[LaneStep]]) -> Iterator[StepResult]:
        """Yield the result of every step of every study, as they end.

        Lanes start in the mapping's order. When the caller stops iterating, they are cancelled:
        steps that have not started never do, and running steps can no longer publish.

        Args:
            studies: Each study's steps in dependency order. The runner finds the value of an
                upstream that is not among a study's steps.
        """
        self._pending = {
            study_key: dict.fromkeys(step.name for step in steps)
            for study_key, steps in studies.items()
            if steps
        }
        with recording_uncaught(self.unattributed):
            try:
                for study_key, steps in studies.items():
                    if self._cancel_cause is None:
                        self._advance(Lane(study_key, steps), started=False)
                while self._pending and self._cancel_cause is None:
                    seconds_left = self._timers.make_due()
                    if self._results:
                        yield from self._next_result()
                        continue
                    with suppress(queue.Empty):
                        self._wakeups.get(
                            timeout=min(seconds_left or _SIGNAL_SECONDS, _SIGNAL_SECONDS)
                        )
                yield from self.cancel_and_drain()
            finally:
                self._stop()

    def cancel_and_drain(self) -> Iterator[StepResult]:
        """Cancel the run and yield every result that :meth:`run` has not.

        Steps that have ended keep their result; the others are cancelled. For a caller that left
        the loop of :meth:`run` early and still needs a result for every step. The result that the
        caller was handling when it left is yielded again.
        """
        self._stop()
        while self._results:
            yield from self._next_result()
        for study_key, names in self._pending.items():
            for name in names:
                yield StepResult(study_key, name, failure=self._cancel_cause or WAS_CANCELLED)
        self._pending.clear()

    def cancel(self, cause: Failure = WAS_CANCELLED) -> None:
        """Cancel the run from any thread or signal handler.

        Args:
            cause: The failure of every step that has not ended.
        """
        self._cancel_cause = self._cancel_cause or cause
        self._wake()

    def cancel_at(self, due: float, cause: Failure) -> None:
        """Cancel the run when the clock reads ``due`` seconds."""
        self._timers.at(due, partial(self.cancel, cause))

    def call_every(self, seconds: float, call: Callable[[], object]) -> None:
        """Make a call on the caller's thread every so many seconds of :meth:`run`.

        An exception of the call is raised by :meth:`run`.
        """

        def call_again() -> None:
            call()
            self._timers.after(seconds, call_again)

        self._timers.after(seconds, call_again)

    def _next_result(self) -> Iterator[StepResult]:
        result = self._results[0]
        yield result
        self._results.popleft()
        names = self._pending[result.study_key]
        names.pop(result.step)
        if not names:
            del self._pending[result.study_key]

    def _put(self, result: StepResult) -> None:
        self._results.append(result)
        self._wake()

    def _wake(self) -> None:
        self._wakeups.put(None)

    def _stop(self) -> None:
        with self._lock:
            was_stopped, self._stopped = self._stopped, True
            running = list(self._running)
        self._workers.stop()
        deadline = time.monotonic() + _COMMIT_SECONDS
        for attempt in running:
            wait_seconds = max(0.0, deadline - time.monotonic())
            self._abandon(attempt, self._cancel_cause or WAS_CANCELLED, wait_seconds)
        self._loop.stop()
        if not was_stopped:
            self._workers.join()
        if not (was_stopped or running):
            self._loop.join()

    def _time_out(self, attempt: Attempt) -> None:
        failure = early_end(TIMEOUT, f"gave up after {attempt.step.timeout:g} s")
        self._abandon(attempt, failure, _COMMIT_SECONDS)

    def _abandon(self, attempt: Attempt, failure: Failure, wait_seconds: float) -> None:
        attempt.lease.revoke(wait_seconds)
        if not self._end(attempt, failure=failure):
            return
        for thread in tuple(attempt.threads):
            self._workers.replace(thread)
        if attempt.step.is_async:
            self._executor.cancel(attempt)

    # --- any thread ---

    def _advance(self, lane: Lane, *, started: bool) -> None:
        """Start the lane's next step or queue it for a worker, after those that aren't called."""
        if self._stopped:
            return
        while lane.steps and (result := _result_without_call(lane)):
            self._put(result)
        if not lane.steps:
            return
        if lane.steps[0].is_async:
            self._start(lane)
        else:
            self._workers.submit(partial(self._start, lane), urgent=started)

    def _start(self, lane: Lane) -> None:
        with self._lock:
            if self._stopped:
                return
            attempt = Attempt(lane, lane.steps.popleft())
            self._running.add(attempt)
        self._executor.start(attempt)

    def _end(
        self,
        attempt: Attempt,
        *,
        output: StepOutput | None = None,
        failure: Failure | None = None,
        skipped: str | None = None,
        report: Any = None,
    ) -> bool:
        """Record how a step ended and continue its lane; return False if it had already ended."""
        lane, step = attempt.lane, attempt.step
        result = StepResult(
            lane.study_key,
            step.name,
            output=output.result if output else None,
            failure=failure,
            skipped=skipped,
            report=report,
            duration_seconds=attempt.worked(self._timers.now()),
        )
        with self._lock:
            if attempt.ended:
                return False
            attempt.ended = True
            self._running.discard(attempt)
            self._put(result)
        if output is not None:
            lane.store(step, output.handover)
        elif skipped is not None:
            lane.skipped[step.name] = skipped
        else:
            lane.failed.add(step.name)
        try:
            self._advance(lane, started=True)
        except Exception as error:  # noqa: BLE001 - no thread or loop can be started: nothing can continue
            self.cancel(describe_failure(error))
        return True


def _result_without_call(lane: Lane) -> StepResult | None:
    """Take a lane's next step if it must not be called; return its result, otherwise None.

    It is skipped if it isn't for the study. Otherwise a failed upstream counts more than a skipped
    one.
    """
    step, upstream, skipped = lane.steps[0], lane.failed_upstream(), lane.why_skipped()
    if skipped is not None and (upstream is None or not is_for(lane.study_key, step.studies)):
        lane.skipped[step.name] = skipped
        result = StepResult(lane.study_key, step.name, skipped=skipped)
    elif upstream is not None:
        lane.failed.add(step.name)
        cause = early_end(UPSTREAM_FAILED, upstream)
        result = StepResult(lane.study_key, step.name, failure=cause)
    else:
        return None
    lane.steps.popleft()
    return result
