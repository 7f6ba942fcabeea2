"""Runs one step on a worker or on the event loop, with retries, in its study's context."""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from orch_assets.orchestration.attempt import Attempt
from orch_assets.orchestration.reporting.uncaught import end_try, merged_failure
from orch_assets.orchestration.returned_values import skip_among
from orch_assets.orchestration.steps import StepCall, StepRunner
from orch_assets.orchestration.threads import EventLoop, Timers, Workers
from orch_assets.study import Raised, UncaughtErrors, study_context


class StepExecutor:
    """Takes attempts through their tries and reports how each ended.

    Args:
        runner: Runs the steps.
        workers: Threads for plain steps and for the blocking parts of ``async`` steps.
        loop: Event loop for ``async`` steps.
        timers: Schedules retries and timeouts.
        end: Called with an attempt and its ``output``, or its ``failure`` and ``report``.
        overdue: Called with an attempt that has used up its step's timeout.
        backoff: Returns the seconds to wait after a number of failed tries.
    """

    def __init__(
        self,
        runner: StepRunner,
        workers: Workers,
        loop: EventLoop,
        timers: Timers,
        *,
        end: Callable[..., object],
        overdue: Callable[[Attempt], object],
        backoff: Callable[[int], float],
    ) -> None:
        self._runner = runner
        self._workers = workers
        self._loop = loop
        self._timers = timers
        self._end = end
        self._overdue = overdue
        self._backoff = backoff
        self._context = contextvars.copy_context()

    def start(self, attempt: Attempt) -> None:
        """Start a step: a plain one in this thread, an ``async`` one on the loop."""
        if not attempt.step.is_async:
            self._try_plain(attempt)
            return
        # Now, not on the loop: another study could block the loop for ever.
        self._resume(attempt)
        self._loop.call(self._create_task, attempt)

    def cancel(self, attempt: Attempt) -> None:
        """Cancel the task of an ``async`` step."""
        self._loop.call(self._cancel_task, attempt)  # on the loop, where the task exists by then

    # --- both kinds ---

    def _resume(self, attempt: Attempt) -> None:
        """Start counting the attempt's working time, and check it when the timeout may be due."""
        now = self._timers.now()
        attempt.resume(now)
        if attempt.step.timeout is not None:
            left = attempt.step.timeout - attempt.worked(now)
            self._timers.at(now + left, partial(self._check_overdue, attempt))

    def _check_overdue(self, attempt: Attempt) -> None:
        if not attempt.ended and attempt.is_overdue(self._timers.now()):
            self._overdue(attempt)

    @contextmanager
    def _study_call(self, attempt: Attempt) -> Iterator[StepCall]:
        """Enter the context of the attempt's study for one try."""
        lane = attempt.lane
        values = {name: lane.values[name] for name in attempt.step.upstreams if name in lane.values}
        skipped = {
            name: lane.skipped[name] for name in attempt.step.upstreams if name in lane.skipped
        }
        call = StepCall(lane.study_key, attempt.step, values, skipped)
        provenance = self._runner.provenance(call)
        with study_context(
            lane.study_key, provenance=provenance, lease=attempt.lease, uncaught=UncaughtErrors()
        ):
            yield call

    def _skip(self, attempt: Attempt, raised: Sequence[Raised]) -> bool:
        """End a step whose try raised nothing but skips; return whether it did."""
        skip = skip_among(each.error for each in raised)
        if skip is not None:
            self._end(attempt, skipped=skip.reason)
        return skip is not None

    def _count_failed_try(self, attempt: Attempt, raised: Sequence[Raised]) -> bool:
        """Count a failed try; return whether another follows."""
        attempt.tries += 1
        again = attempt.may_retry(each.error for each in raised)
        if again:
            attempt.pause(self._timers.now())
        return again

    def _fail(self, attempt: Attempt, call: StepCall, raised: Sequence[Raised]) -> None:
        if not attempt.ended:
            failure = merged_failure(raised, attempt.step.describe)
            self._end(attempt, failure=failure, report=self._runner.report(call, failure))

    # --- plain steps: worker threads ---

    def _try_plain(self, attempt: Attempt) -> None:
        self._occupy_worker(attempt, partial(self._run_plain, attempt))

    def _occupy_worker(self, attempt: Attempt, work: Callable[[], object]) -> None:
        """Run on this worker thread what belongs to a step and may hang."""
        if attempt.ended:
            return
        attempt.threads.add(threading.current_thread())
        self._resume(attempt)
        try:
            self._context.copy().run(work)
        except BaseException as error:  # noqa: BLE001 - an error of the runner itself: the step still ends
            self._end(attempt, failure=attempt.step.describe(error))
        finally:
            attempt.threads.discard(threading.current_thread())

    def _run_plain(self, attempt: Attempt) -> None:
        with self._study_call(attempt) as call:
            try:
                output = self._runner.run(call)
            except BaseException as error:  # noqa: BLE001 - SystemExit, too, fails one study only
                self._retry_or_fail(attempt, call, end_try(error))
                return
            if raised := end_try():
                self._retry_or_fail(attempt, call, raised)
            else:
                self._end(attempt, output=output)

    def _retry_or_fail(self, attempt: Attempt, call: StepCall, raised: Sequence[Raised]) -> None:
        if self._skip(attempt, raised):
            return
        if self._count_failed_try(attempt, raised):
            self._timers.after(self._backoff(attempt.tries), partial(self._queue, attempt))
        else:
            self._fail(attempt, call, raised)

    def _queue(self, attempt: Attempt) -> None:
        self._workers.submit(partial(self._try_plain, attempt), urgent=True)

    # --- async steps: the event loop ---

    def _create_task(self, attempt: Attempt) -> None:
        if not attempt.ended:
            loop = asyncio.get_running_loop()
            attempt.task = self._context.copy().run(loop.create_task, self._await(attempt))

    def _cancel_task(self, attempt: Attempt) -> None:
        if attempt.task is not None:
            self._loop.cancel(attempt.task)

    async def _await(self, attempt: Attempt) -> None:
        attempt.restart()
        self._resume(attempt)
        try:
            while await self._try_async(attempt):
                await asyncio.sleep(self._backoff(attempt.tries))
                self._resume(attempt)
        except BaseException as error:  # noqa: BLE001 - as in _occupy_worker
            self._end(attempt, failure=attempt.step.describe(error))

    async def _try_async(self, attempt: Attempt) -> bool:
        """Run one try of a step; return whether another follows."""
        on_worker = partial(self._on_worker, attempt)
        with self._study_call(attempt) as call:
            try:
                output = await self._runner.run_async(call, on_worker)
                attempt.pause(self._timers.now())
                for _ in range(
                    2
                ):  # two iterations, in which the loop closes an abandoned generator
                    await asyncio.sleep(0)
            except BaseException as error:  # noqa: BLE001 - as in _run_plain
                return await self._retry_or_fail_async(attempt, call, end_try(error))
            if raised := end_try():
                return await self._retry_or_fail_async(attempt, call, raised)
            self._end(attempt, output=output)
            return False

    async def _retry_or_fail_async(
        self, attempt: Attempt, call: StepCall, raised: Sequence[Raised]
    ) -> bool:
        if attempt.ended or self._skip(attempt, raised):
            return False
        again = self._count_failed_try(attempt, raised)
        if not again:
            await self._on_worker(attempt, self._fail, attempt, call, raised)
        return again

    async def _on_worker(self, attempt: Attempt, function: Callable[..., Any], *args: Any) -> Any:
        """Run blocking work on a worker; the wait for a free worker is not working time."""
        if attempt.ended:  # no worker would run it
            raise asyncio.CancelledError
        ended: asyncio.Future[tuple[Any, BaseException | None]]
        ended = asyncio.get_running_loop().create_future()
        context = contextvars.copy_context()

        def work() -> None:
            try:
                outcome: tuple[Any, BaseException | None] = context.run(function, *args), None
            except BaseException as raised:  # noqa: BLE001 - raised in the awaiting step
                outcome = None, raised
            self._loop.call(_resolve, ended, outcome)

        attempt.pause(self._timers.now())
        self._workers.submit(partial(self._occupy_worker, attempt, work), urgent=True)
        value, error = await ended
        if error is not None:
            raise error
        return value


def _resolve(ended: "asyncio.Future[Any]", outcome: tuple[Any, BaseException | None]) -> None:
    if not ended.done():
        ended.set_result(outcome)
