"""Lanes: every study's way through its steps, many studies at once, none hurting another.

A *lane* is one study with the steps it still has to take. Plain steps run on daemon worker
threads, ``async`` steps on one event loop, where hundreds can wait without a worker. The caller's
thread receives one :class:`StepResult` for every step of every lane, as they end. A step that
fails ends its own branch of its own lane and nothing else.

A step that exceeds its timeout is given up: its lease is revoked, so that it can't publish; its
thread is left to itself and replaced. Lanes already begun go first, so that the tables of few
studies are in memory at a time.
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
from orch_assets.orchestration.reporting.results import (
    CANCELLED,
    TIMEOUT,
    UPSTREAM_FAILED,
    Failure,
    describe_failure,
    early_end,
)
from orch_assets.orchestration.reporting.uncaught import watching
from orch_assets.orchestration.step_executor import StepExecutor
from orch_assets.orchestration.steps import LaneStep, StepOutput, StepResult, StepRunner
from orch_assets.orchestration.threads import EventLoop, Timers, Workers

WAS_CANCELLED: Final = early_end(CANCELLED, "the run was cancelled")

# A commit is one rename or one PUT; a run that is cancelled waits this long for all of them.
_COMMIT_SECONDS: Final = 10.0

# A signal that comes just before a wait, or that the system gives to another thread, doesn't end
# the wait: Python runs its handler only when the caller's thread goes on by itself.
_SIGNAL_SECONDS: Final = 1.0


class Lanes:
    """Takes studies through their steps; use once.

    Args:
        runner: does the steps' work.
        max_workers: studies at work at once on threads; ``async`` steps don't count.
        clock: seconds, monotonic.
        backoff: seconds to wait after so many failed tries of a step.

    Attributes:
        unattributed: what may be logged of exceptions in threads and finalizers meanwhile that no
            study is known for; as keys, each once.
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
        # A result leaves the deque only when the caller has it: an interrupt can strike between
        # any two lines. The queue only wakes the caller; a signal handler too may put to it.
        self._results: deque[StepResult] = deque()
        self._awake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._timers = Timers(clock, hurry=self._wake)
        self._work = StepExecutor(
            runner,
            self._workers,
            self._loop,
            self._timers,
            end=self._end,
            overdue=self._time_out,
            backoff=backoff,
        )
        self._lock = threading.Lock()
        self._under_way: set[Attempt] = set()
        self._pending: dict[str, dict[str, None]] = {}
        self._stopped = False
        self._cancelled: Failure | None = None

    # --- the caller's thread ---

    def run(self, studies: Mapping[str, Sequence[LaneStep]]) -> Iterator[StepResult]:
        """Yield the result of every step of every study, as they end.

        Lanes begin in the mapping's order. When the caller stops iterating they are cancelled:
        what has not begun never does, and what is at work may not publish any more.

        Args:
            studies: each study's steps in dependency order. An upstream that is not among a
                study's steps is the runner's to find.
        """
        self._pending = {
            study_key: dict.fromkeys(step.name for step in steps)
            for study_key, steps in studies.items()
            if steps
        }
        with watching(self.unattributed):
            try:
                for study_key, steps in studies.items():
                    if self._cancelled is None:
                        self._advance(Lane(study_key, steps), begun=False)
                while self._pending and self._cancelled is None:
                    left = self._timers.make_due()
                    if self._results:
                        yield from self._hand_over()
                        continue
                    with suppress(queue.Empty):
                        self._awake.get(timeout=min(left or _SIGNAL_SECONDS, _SIGNAL_SECONDS))
                yield from self.cancel_and_drain()
            finally:
                self._stop()

    def cancel_and_drain(self) -> Iterator[StepResult]:
        """Cancel, and yield the results that :meth:`run` did not: what had ended, and the rest.

        For a caller that left the loop early and wants a result for every step all the same. The
        one that it had just received when it left comes again.
        """
        self._stop()
        while self._results:
            yield from self._hand_over()
        for study_key, names in self._pending.items():
            for name in names:
                yield StepResult(study_key, name, failure=self._cancelled or WAS_CANCELLED)
        self._pending.clear()

    def cancel(self, cause: Failure = WAS_CANCELLED) -> None:
        """End the run from any thread or signal handler: what has not ended fails of the cause."""
        self._cancelled = self._cancelled or cause
        self._wake()

    def cancel_at(self, due: float, cause: Failure) -> None:
        """Cancel the run when the clock reads so many seconds."""
        self._timers.at(due, partial(self.cancel, cause))

    def _hand_over(self) -> Iterator[StepResult]:
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
        self._awake.put(None)

    def _stop(self) -> None:
        with self._lock:
            again, self._stopped = self._stopped, True
            under_way = list(self._under_way)
        self._workers.stop()
        deadline = time.monotonic() + _COMMIT_SECONDS
        for attempt in under_way:
            within = max(0.0, deadline - time.monotonic())
            self._give_up(attempt, self._cancelled or WAS_CANCELLED, within)
        self._loop.stop()
        if not again:
            self._workers.join()
        if not (again or under_way):
            self._loop.join()

    def _time_out(self, attempt: Attempt) -> None:
        failure = early_end(TIMEOUT, f"gave up after {attempt.step.timeout:g} s")
        self._give_up(attempt, failure, _COMMIT_SECONDS)

    def _give_up(self, attempt: Attempt, failure: Failure, within: float) -> None:
        attempt.lease.revoke(within)
        if not self._end(attempt, failure=failure):
            return
        for thread in tuple(attempt.threads):
            self._workers.replace(thread)
        if attempt.step.is_async:
            self._work.cancel(attempt)

    # --- any thread ---

    def _advance(self, lane: Lane, *, begun: bool) -> None:
        """Start the lane's next step, or queue it for a worker."""
        if self._stopped:
            return
        while lane.steps and (broken := lane.broken_upstream()):
            step = lane.steps.popleft()
            lane.failed.add(step.name)
            cause = early_end(UPSTREAM_FAILED, broken)
            self._put(StepResult(lane.study_key, step.name, failure=cause))
        if not lane.steps:
            return
        if lane.steps[0].is_async:
            self._begin(lane)
        else:
            self._workers.submit(partial(self._begin, lane), urgent=begun)

    def _begin(self, lane: Lane) -> None:
        with self._lock:
            if self._stopped:
                return
            attempt = Attempt(lane, lane.steps.popleft())
            self._under_way.add(attempt)
        self._work.start(attempt)

    def _end(
        self,
        attempt: Attempt,
        *,
        output: StepOutput | None = None,
        failure: Failure | None = None,
        report: Any = None,
    ) -> bool:
        """Record how a step ended and let its lane go on; False when it had ended already."""
        lane, step = attempt.lane, attempt.step
        result = StepResult(
            lane.study_key,
            step.name,
            output=output.result if output else None,
            failure=failure,
            report=report,
            duration_seconds=attempt.worked(self._timers.now()),
        )
        with self._lock:
            if attempt.over:
                return False
            attempt.over = True
            self._under_way.discard(attempt)
            self._put(result)
        if output is not None:
            lane.keep(step, output.handover)
        else:
            lane.failed.add(step.name)
        try:
            self._advance(lane, begun=True)
        except Exception as error:  # noqa: BLE001 - no thread or no loop to be had: nothing can go on
            self.cancel(describe_failure(error))
        return True
