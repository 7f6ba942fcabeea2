"""One step's work: on a worker or on the event loop, with its tries, in its study's context."""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from orch_assets.orchestration.attempt import Attempt
from orch_assets.orchestration.reporting.uncaught import all_raised, failure_of
from orch_assets.orchestration.steps import StepCall, StepRunner
from orch_assets.orchestration.threads import EventLoop, Timers, Workers
from orch_assets.study import Raised, UncaughtErrors, study_context


class StepExecutor:
    """Takes attempts through their tries and says how each ended.

    Args:
        runner: does the work itself.
        workers: where plain steps run, and what of ``async`` steps would block.
        loop: where ``async`` steps wait.
        timers: for tries to come and time used up.
        end: called with an attempt and its ``output`` or its ``failure`` (and ``report``).
        overdue: called with an attempt that has worked for as long as its step may.
        backoff: seconds to wait after so many failed tries.
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
        """Try a step for the first time: a plain one here and now, an ``async`` one on the loop."""
        if not attempt.step.is_async:
            self._try_plain(attempt)
            return
        self._resume(attempt)  # at once: another study could keep the loop from ever starting it
        self._loop.call(self._create_task, attempt)

    def cancel(self, attempt: Attempt) -> None:
        """Cancel the task of an ``async`` step."""
        self._loop.call(self._cancel_task, attempt)  # where the task is sure to be there by then

    # --- both kinds ---

    def _resume(self, attempt: Attempt) -> None:
        """Let the attempt's time run, and look again when it may be used up."""
        now = self._timers.now()
        attempt.resume(now)
        if attempt.step.timeout is not None:
            left = attempt.step.timeout - attempt.worked(now)
            self._timers.at(now + left, partial(self._look_at, attempt))

    def _look_at(self, attempt: Attempt) -> None:
        if not attempt.over and attempt.is_overdue(self._timers.now()):
            self._overdue(attempt)

    @contextmanager
    def _turn(self, attempt: Attempt) -> Iterator[StepCall]:
        """Work for the attempt's study, for one try."""
        lane = attempt.lane
        handed = {name: lane.values[name] for name in attempt.step.upstreams if name in lane.values}
        turn = StepCall(lane.study_key, attempt.step, handed)
        provenance = self._runner.provenance(turn)
        with study_context(
            lane.study_key, provenance=provenance, lease=attempt.lease, uncaught=UncaughtErrors()
        ):
            yield turn

    def _tries_again(self, attempt: Attempt, raised: Sequence[Raised]) -> bool:
        """Count a failed try; return whether there is to be another."""
        attempt.tries += 1
        again = attempt.worth_another_try(each.error for each in raised)
        if again:
            attempt.pause(self._timers.now())
        return again

    def _fail(self, attempt: Attempt, turn: StepCall, raised: Sequence[Raised]) -> None:
        if not attempt.over:
            failure = failure_of(raised, attempt.step.describe)
            self._end(attempt, failure=failure, report=self._runner.report(turn, failure))

    # --- plain steps: worker threads ---

    def _try_plain(self, attempt: Attempt) -> None:
        self._hold_worker(attempt, partial(self._call, attempt))

    def _hold_worker(self, attempt: Attempt, work: Callable[[], object]) -> None:
        """Do on this worker, on behalf of a step, what may hang."""
        if attempt.over:
            return
        attempt.threads.add(threading.current_thread())
        self._resume(attempt)
        try:
            self._context.copy().run(work)
        except BaseException as error:  # noqa: BLE001 - the runner's own: the step ends all the same
            self._end(attempt, failure=attempt.step.describe(error))
        finally:
            attempt.threads.discard(threading.current_thread())

    def _call(self, attempt: Attempt) -> None:
        with self._turn(attempt) as turn:
            try:
                output = self._runner.run(turn)
            except BaseException as error:  # noqa: BLE001 - SystemExit too is one study's
                self._retry_or_fail(attempt, turn, all_raised(error))
                return
            if raised := all_raised():
                self._retry_or_fail(attempt, turn, raised)
            else:
                self._end(attempt, output=output)

    def _retry_or_fail(self, attempt: Attempt, turn: StepCall, raised: Sequence[Raised]) -> None:
        if self._tries_again(attempt, raised):
            self._timers.after(self._backoff(attempt.tries), partial(self._queue, attempt))
        else:
            self._fail(attempt, turn, raised)

    def _queue(self, attempt: Attempt) -> None:
        self._workers.submit(partial(self._try_plain, attempt), urgent=True)

    # --- async steps: the event loop ---

    def _create_task(self, attempt: Attempt) -> None:
        if not attempt.over:
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
        except BaseException as error:  # noqa: BLE001 - as in _hold_worker
            self._end(attempt, failure=attempt.step.describe(error))

    async def _try_async(self, attempt: Attempt) -> bool:
        """Try a step; return whether to try it again."""
        on_worker = partial(self._on_worker, attempt)
        with self._turn(attempt) as turn:
            try:
                output = await self._runner.run_async(turn, on_worker)
                attempt.pause(self._timers.now())
                for _ in range(2):  # turns in which the loop closes a generator left behind
                    await asyncio.sleep(0)
            except BaseException as error:  # noqa: BLE001 - as in _call
                return await self._retry_or_fail_async(attempt, turn, all_raised(error))
            if raised := all_raised():
                return await self._retry_or_fail_async(attempt, turn, raised)
            self._end(attempt, output=output)
            return False

    async def _retry_or_fail_async(
        self, attempt: Attempt, turn: StepCall, raised: Sequence[Raised]
    ) -> bool:
        if attempt.over:
            return False
        again = self._tries_again(attempt, raised)
        if not again:
            await self._on_worker(attempt, self._fail, attempt, turn, raised)
        return again

    async def _on_worker(self, attempt: Attempt, function: Callable[..., Any], *args: Any) -> Any:
        """Run on a worker what would block the loop; its wait for one is no working time."""
        if attempt.over:  # nobody would do it any more
            raise asyncio.CancelledError
        ended: asyncio.Future[tuple[Any, BaseException | None]]
        ended = asyncio.get_running_loop().create_future()
        context = contextvars.copy_context()

        def work() -> None:
            try:
                outcome: tuple[Any, BaseException | None] = context.run(function, *args), None
            except BaseException as raised:  # noqa: BLE001 - it belongs to the awaiting step
                outcome = None, raised
            self._loop.call(_resolve, ended, outcome)

        attempt.pause(self._timers.now())
        self._workers.submit(partial(self._hold_worker, attempt, work), urgent=True)
        value, error = await ended
        if error is not None:
            raise error
        return value


def _resolve(ended: "asyncio.Future[Any]", outcome: tuple[Any, BaseException | None]) -> None:
    if not ended.done():
        ended.set_result(outcome)
