"""Lanes: every study's way through its steps, many studies at once, none hurting another.

A *lane* is one study with the steps it still has to take. Plain steps run on daemon worker
threads, ``async`` steps on one event loop, where hundreds can wait without a worker. The caller's
thread receives one :class:`StepResult` for every step of every lane, as they end. A step that
fails ends its own branch of its own lane and nothing else.

A step that exceeds its timeout is given up: its lease is revoked, so that it can't publish; its
thread is left to itself and replaced. Lanes already begun go first, so that the tables of few
studies are in memory at a time.
"""

import asyncio
import contextvars
import heapq
import itertools
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from orch_assets.errors import ImednetError
from orch_assets.orchestration.result import (
    TIMEOUT,
    UPSTREAM_FAILED,
    Failure,
    describe_failure,
    early_end,
)
from orch_assets.orchestration.steps import Step, StepOutput, StepResult, StepRunner, StepTurn
from orch_assets.study import PublishingLease, study_context

_NEVER = float("inf")
_MAX_BACKOFF_SECONDS = 60.0


@dataclass
class _Lane:
    study_key: str
    steps: deque[Step]
    values: dict[str, Any] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)


@dataclass(eq=False)
class _Attempt:
    """A step under way. ``over`` is set once, by whoever ends it: the step or its timeout."""

    lane: _Lane
    step: Step
    lease: PublishingLease = field(default_factory=PublishingLease)
    started: float = 0.0
    over: bool = False
    thread: threading.Thread | None = None
    task: "asyncio.Task[None] | None" = None


class Lanes:
    """Takes studies through their steps; use once.

    Args:
        runner: does the steps' work.
        max_workers: studies at work at once on threads; ``async`` steps don't count.
        clock: seconds, monotonic.
        sleep: waits between a step's tries.
    """

    def __init__(
        self,
        runner: StepRunner,
        max_workers: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._runner = runner
        self._max_workers = max_workers
        self._clock = clock
        self._sleep = sleep
        self._results: queue.SimpleQueue[StepResult | None] = queue.SimpleQueue()
        self._ready = threading.Condition()
        self._begun: deque[Callable[[], bool]] = deque()
        self._waiting: deque[_Lane] = deque()
        self._under_way: set[_Attempt] = set()
        self._deadlines: list[tuple[float, int, _Attempt]] = []
        self._order = itertools.count()
        self._idle = 0
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads: set[threading.Thread] = set()
        self._context = contextvars.copy_context()

    def run(self, studies: Mapping[str, Sequence[Step]]) -> Iterator[StepResult]:
        """Yield the result of every step of every study, as they end.

        Args:
            studies: each study's steps in dependency order. An upstream that is not among a
                study's steps is the runner's to find.

        The lanes are cancelled when the caller stops iterating: what has not begun never does, and
        what is at work may not publish any more.
        """
        outstanding = sum(len(steps) for steps in studies.values())
        try:
            for study_key, steps in studies.items():
                if steps:
                    self._advance(_Lane(study_key, deque(steps)), begun=False)
            while outstanding:
                result = self._next_result()
                if result is not None:
                    outstanding -= 1
                    yield result
        finally:
            self._stop()

    # --- results and deadlines: the caller's thread ---

    def _next_result(self) -> StepResult | None:
        with self._ready:
            deadline = self._deadlines[0][0] if self._deadlines else _NEVER
        wait = None if deadline == _NEVER else max(0.0, deadline - self._clock())
        try:
            return self._results.get(timeout=wait)
        except queue.Empty:
            self._give_up_overdue()
            return None

    def _give_up_overdue(self) -> None:
        while True:
            with self._ready:
                if not self._deadlines or self._deadlines[0][0] > self._clock():
                    return
                attempt = heapq.heappop(self._deadlines)[2]
            if attempt.over:
                continue
            attempt.lease.revoke()
            explanation = f"gave up after {attempt.step.timeout:g} s"
            if self._end(attempt, early_end(TIMEOUT, explanation)):
                self._abandon(attempt)

    def _abandon(self, attempt: _Attempt) -> None:
        if attempt.step.is_async:
            self._cancel_task(attempt)
            return
        with self._ready:
            self._threads.discard(attempt.thread)
            self._hire_if_wanted()  # for the hung thread's place

    def _cancel_task(self, attempt: _Attempt) -> None:
        if self._loop is not None:  # on the loop, where the task is sure to be there by then
            self._loop.call_soon_threadsafe(lambda: attempt.task and attempt.task.cancel())

    def _stop(self) -> None:
        with self._ready:
            self._stopped = True
            self._begun.clear()
            self._waiting.clear()
            under_way = list(self._under_way)
            for attempt in under_way:
                attempt.over = True
            self._under_way.clear()
            self._ready.notify_all()
        for attempt in under_way:
            attempt.lease.revoke()
        for thread in self._threads - {attempt.thread for attempt in under_way}:
            thread.join(timeout=1.0)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)

    # --- lanes: any thread ---

    def _advance(self, lane: _Lane, *, begun: bool) -> None:
        """Start the lane's next step, or queue it for a worker."""
        while lane.steps:
            step = lane.steps[0]
            broken = [name for name in step.upstreams if name in lane.failed]
            if not broken:
                break
            lane.steps.popleft()
            lane.failed.add(step.name)
            cause = early_end(UPSTREAM_FAILED, broken[0])
            self._results.put(StepResult(lane.study_key, step.name, failure=cause))
        if not lane.steps:
            return
        if lane.steps[0].is_async:
            self._start_async(lane)
            return
        with self._ready:
            if begun:
                self._begun.appendleft(lambda: self._run_plain(lane))
            else:
                self._waiting.append(lane)
            self._ready.notify()
            self._hire_if_wanted()

    def _begin(self, lane: _Lane) -> _Attempt:
        attempt = _Attempt(lane, lane.steps.popleft(), started=self._clock())
        attempt.thread = threading.current_thread()
        with self._ready:
            if self._stopped:
                attempt.over = True
                attempt.lease.revoke()
                return attempt
            self._under_way.add(attempt)
            if attempt.step.timeout is not None:
                deadline = attempt.started + attempt.step.timeout
                heapq.heappush(self._deadlines, (deadline, next(self._order), attempt))
                if self._deadlines[0][2] is attempt:
                    self._results.put(None)  # the caller's wait has become shorter
        return attempt

    def _end(
        self,
        attempt: _Attempt,
        failure: Failure | None,
        output: StepOutput | None = None,
        report: Any = None,
    ) -> bool:
        """Record how a step ended and let its lane go on; False when it had ended already."""
        lane, step = attempt.lane, attempt.step
        with self._ready:
            if attempt.over:
                return False
            attempt.over = True
            self._under_way.discard(attempt)
        if output is not None:
            lane.values[step.name] = output.handover
        else:
            lane.failed.add(step.name)
        needed = {name for later in lane.steps for name in later.upstreams}
        for name in lane.values.keys() - needed:
            del lane.values[name]
        self._results.put(
            StepResult(
                lane.study_key,
                step.name,
                output=output.kept if output else None,
                failure=failure,
                report=report,
                duration_seconds=self._clock() - attempt.started,
            )
        )
        self._advance(lane, begun=True)
        return True

    @contextmanager
    def _at_work(self, attempt: _Attempt) -> Iterator[StepTurn]:
        lane = attempt.lane
        handed = {name: lane.values[name] for name in attempt.step.upstreams if name in lane.values}
        turn = StepTurn(lane.study_key, attempt.step, handed)
        provenance = self._runner.provenance(turn)
        with study_context(lane.study_key, provenance=provenance, lease=attempt.lease):
            yield turn

    def _fail(self, attempt: _Attempt, turn: StepTurn, error: BaseException) -> bool:
        if attempt.over:
            return False
        failure = describe_failure(error)
        return self._end(attempt, failure, report=self._runner.report(turn, failure))

    # --- plain steps: worker threads ---

    def _hire_if_wanted(self) -> None:
        """Start a worker if there is work for one more; the caller holds the lock."""
        work = len(self._begun) + len(self._waiting)
        if work > self._idle and len(self._threads) < self._max_workers:
            thread = threading.Thread(target=self._work, name="orch-assets-lane", daemon=True)
            self._threads.add(thread)
            thread.start()

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            if not job():
                return  # given up: another thread has this one's place

    def _next_job(self) -> Callable[[], bool] | None:
        with self._ready:
            self._idle += 1
            try:
                while True:
                    if self._stopped:
                        return None
                    if self._begun:
                        return self._begun.popleft()
                    if self._waiting:
                        lane = self._waiting.popleft()
                        return lambda: self._run_plain(lane)
                    self._ready.wait()
            finally:
                self._idle -= 1

    def _run_plain(self, lane: _Lane) -> bool:
        attempt = self._begin(lane)
        if attempt.over:
            return False
        return self._context.copy().run(self._run_in_context, attempt)

    def _run_in_context(self, attempt: _Attempt) -> bool:
        with self._at_work(attempt) as turn:
            tries = attempt.step.retries
            for number in itertools.count():
                try:
                    output = self._runner.run(turn)
                except BaseException as error:  # noqa: BLE001 - SystemExit too is one study's
                    if number == tries or not self._worth_another_try(attempt, error):
                        return self._fail(attempt, turn, error)
                else:
                    return self._end(attempt, None, output)
                self._sleep(_backoff(number))
        raise AssertionError  # pragma: no cover - count() has no end

    def _worth_another_try(self, attempt: _Attempt, error: BaseException) -> bool:
        if attempt.over or isinstance(error, ImednetError):
            return False  # the registry's errors were retried where they happened
        return isinstance(error, attempt.step.retry_on)

    # --- async steps: the event loop ---

    def _start_async(self, lane: _Lane) -> None:
        with self._ready:
            if self._stopped:
                return
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=_serve, args=(self._loop,), name="orch-assets-loop", daemon=True
                ).start()
        self._loop.call_soon_threadsafe(self._create_task, lane)

    def _create_task(self, lane: _Lane) -> None:
        attempt = self._begin(lane)
        if attempt.over or self._loop is None:
            return
        coroutine = self._await_step(attempt)
        attempt.task = self._context.copy().run(self._loop.create_task, coroutine)

    async def _await_step(self, attempt: _Attempt) -> None:
        with self._at_work(attempt) as turn:
            for number in itertools.count():
                try:
                    output = await self._runner.run_async(turn, self._on_worker)
                except BaseException as error:  # noqa: BLE001 - as above
                    if attempt.over:
                        return
                    if number == attempt.step.retries or not self._worth_another_try(
                        attempt, error
                    ):
                        await self._on_worker(self._fail, attempt, turn, error)
                        return
                else:
                    self._end(attempt, None, output)
                    return
                await asyncio.sleep(_backoff(number))

    def _on_worker(self, function: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        """Run something that blocks on a worker, on behalf of an ``async`` step."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()

        def job() -> bool:
            try:
                value, error = context.run(function, *args), None
            except BaseException as raised:  # noqa: BLE001 - it belongs to the awaiting step
                value, error = None, raised
            with suppress(RuntimeError):  # the run is over and its loop closed
                loop.call_soon_threadsafe(_resolve, future, value, error)
            return True

        with self._ready:
            self._begun.append(job)
            self._ready.notify()
            self._hire_if_wanted()
        return future


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def _resolve(future: "asyncio.Future[Any]", value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if isinstance(error, StopIteration):  # asyncio refuses it in a future
        error = RuntimeError(repr(error))
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(value)


def _backoff(number: int) -> float:
    return random.uniform(0.5, 1.0) * min(_MAX_BACKOFF_SECONDS, 2.0**number)  # noqa: S311 - jitter
