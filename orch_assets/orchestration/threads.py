"""Daemon worker threads: a hung job blocks neither the caller nor interpreter exit."""

import asyncio
import heapq
import itertools
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context
from typing import Any, Final

from orch_assets.orchestration.reporting.results import describe_failure
from orch_assets.orchestration.reporting.uncaught import IN_ASYNCIO, take
from orch_assets.study import Raised, current_context, study_in

_log = logging.getLogger(__name__)

Job = Callable[[], object]

_JOIN_SECONDS: Final = 1.0
_CLOSING_SECONDS: Final = 5.0


class Workers:
    """At most so many daemon threads that take jobs; one that hangs can be replaced.

    Threads are started as there is work for them. A job must not raise.

    Args:
        most: threads at work at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._changed = threading.Condition()
        self._urgent: deque[Job] = deque()
        self._jobs: deque[Job] = deque()
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._stopped = False

    def submit(self, job: Job, *, urgent: bool = False) -> None:
        """Queue a job, before all that aren't urgent if it is; after a stop it is dropped."""
        with self._changed:
            if self._stopped:
                return
            (self._urgent if urgent else self._jobs).append(job)
            self._changed.notify()
            self._hire_if_wanted()

    def replace(self, thread: threading.Thread) -> None:
        """Leave a thread to its job for ever; another may have its place."""
        with self._changed:
            self._threads.discard(thread)
            self._changed.notify_all()
            self._hire_if_wanted()

    def stop(self) -> None:
        """Drop what is queued; threads end with the job that they are at."""
        with self._changed:
            self._stopped = True
            self._urgent.clear()
            self._jobs.clear()
            self._changed.notify_all()

    def join(self) -> None:
        """Wait for the threads' end after a stop, but not long: one could hang after all."""
        deadline = time.monotonic() + _JOIN_SECONDS
        for thread in tuple(self._threads):
            if not thread.is_alive():  # an interrupt can leave one half started, which can't join
                continue
            thread.join(max(0.0, deadline - time.monotonic()))

    def _hire_if_wanted(self) -> None:
        """Start a thread if there is work for one more; the caller holds the lock."""
        work = len(self._urgent) + len(self._jobs)
        if work <= self._idle or len(self._threads) >= self._most:
            return
        thread = threading.Thread(target=self._work, name="orch-assets-worker", daemon=True)
        self._threads.add(thread)
        try:
            Context().run(thread.start)  # no study's: it works for whichever comes
        except RuntimeError:  # the system has no thread to give: fewer will do, none will not
            self._threads.discard(thread)
            if not self._threads:
                raise

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            job()
            del job  # what it holds is not to wait for the next one

    def _next_job(self) -> Job | None:
        with self._changed:
            self._idle += 1
            try:
                while not self._stopped and threading.current_thread() in self._threads:
                    if self._urgent:
                        return self._urgent.popleft()
                    if self._jobs:
                        return self._jobs.popleft()
                    self._changed.wait()
                return None
            finally:
                self._idle -= 1


class EventLoop:
    """One event loop, started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._ending = False
        self._cancelled: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()

    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop; after a stop it is dropped."""
        with self._lock:
            if self._stopped:
                return
            loop = self._loop or self._start()
        with suppress(RuntimeError):  # stopped and closed in between
            loop.call_soon_threadsafe(function, *args)

    def cancel(self, task: "asyncio.Task[Any]") -> None:
        """Cancel a task, on the loop; it has until some seconds after the stop to close."""
        self._cancelled.add(task)
        task.cancel()

    def stop(self) -> None:
        """Cancel what still waits on the loop, without waiting for it."""
        with self._lock:
            again, self._stopped = self._stopped, True
            if self._loop is not None and not again:
                self._loop.call_soon_threadsafe(self._end, self._loop)

    def join(self) -> None:
        """Wait for the thread's end after a stop, but not long."""
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS)

    def _start(self) -> asyncio.AbstractEventLoop:
        loop = self._loop = asyncio.new_event_loop()
        loop.set_default_executor(_DaemonThreads())
        loop.set_task_factory(_StudyTask.made)
        loop.set_exception_handler(_take_uncaught)
        self._thread = threading.Thread(
            target=self._serve, args=(loop,), name="orch-assets-loop", daemon=True
        )
        Context().run(self._thread.start)  # no study's: it works for all
        return loop

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ending = True
        loop.stop()

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            while not self._ending:  # a study can stop a loop, but not end this one
                loop.run_forever()
            loop.run_until_complete(self._end_tasks())
        finally:
            loop.close()

    async def _end_tasks(self) -> None:
        """Cancel what still waits, and let it close what it has open."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks - set(self._cancelled):  # a second cancel would end their closing
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSING_SECONDS)
        await asyncio.get_running_loop().shutdown_asyncgens()


class _StudyTask(asyncio.Task[Any]):
    """A task that knows its study, whoever drops it: Python 3.11 doesn't tell."""

    def __init__(self, coro: Coroutine[Any, Any, Any], **options: Any) -> None:
        super().__init__(coro, **options)
        context = options.get("context")
        self.study = current_context() if context is None else study_in(context)

    @classmethod
    def made(cls, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> "_StudyTask":
        """Return a task; the loop's factory."""
        return cls(coro, loop=loop, **options)


def _take_uncaught(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG001 - asyncio's signature
    """Take a failure that nobody awaits, without its text: asyncio would print it with values."""
    error = context.get("exception")
    if error is None:
        _log.warning("asyncio: %s", context.get("message"))
        return
    study = getattr(context.get("task") or context.get("future"), "study", None)
    if handle := context.get("handle"):
        study = study_in(handle._context)  # noqa: SLF001 - what Python 3.12 runs this in
    if not take(Raised(error, IN_ASYNCIO), study):
        _log.error("A task that nobody awaits: %s", describe_failure(error).loggable)


class _DaemonThreads(ThreadPoolExecutor):
    """A daemon thread for each call of ``asyncio.to_thread``.

    The interpreter waits for the threads of the executor that asyncio brings, and a few hung ones
    fill it up: one study could hold the exit, or every other study.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()  # so that nobody cancels what can't be stopped

        def call() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - it belongs to the awaiting study
                future.set_exception(error)

        threading.Thread(target=call, name="orch-assets-to-thread", daemon=True).start()
        return future


class Timers:
    """Calls with the time at which each is due. Any thread may add one, one thread makes them.

    Args:
        clock: seconds, monotonic.
        hurry: called when a new call is due before all others: the wait has become shorter.
    """

    def __init__(self, clock: Callable[[], float], hurry: Callable[[], object]) -> None:
        self.now = clock
        self._hurry = hurry
        self._lock = threading.Lock()
        self._heap: list[tuple[float, int, Job]] = []
        self._order = itertools.count()

    def at(self, due: float, call: Job) -> None:
        """Add a call for when the clock reads so many seconds."""
        entry = (due, next(self._order), call)
        with self._lock:
            heapq.heappush(self._heap, entry)
            first = self._heap[0] is entry
        if first:
            self._hurry()

    def after(self, seconds: float, call: Job) -> None:
        """Add a call for so many seconds from now."""
        self.at(self.now() + seconds, call)

    def make_due(self) -> float | None:
        """Make the calls that are due; return the seconds to the next, None without one."""
        while True:
            with self._lock:
                if not self._heap:
                    return None
                left = self._heap[0][0] - self.now()
                if left > 0:
                    return left
                call = heapq.heappop(self._heap)[2]
            call()
