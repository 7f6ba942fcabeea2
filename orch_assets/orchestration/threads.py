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
from orch_assets.orchestration.reporting.uncaught import IN_ASYNCIO, record
from orch_assets.study import Raised, current_context, study_in

_log = logging.getLogger(__name__)

Job = Callable[[], object]

_JOIN_SECONDS: Final = 1.0
_CLOSING_SECONDS: Final = 5.0


class Workers:
    """A pool of daemon threads that run jobs; a hung thread can be replaced.

    Threads are started when there is work for them. A job must not raise.

    Args:
        max_threads: Maximum number of threads at once, replaced ones not counted.
    """

    def __init__(self, max_threads: int) -> None:
        self._max_threads = max_threads
        self._changed = threading.Condition()
        self._urgent: deque[Job] = deque()
        self._jobs: deque[Job] = deque()
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._stopped = False

    def submit(self, job: Job, *, urgent: bool = False) -> None:
        """Queue a job; urgent jobs go before all others. After a stop the job is dropped."""
        with self._changed:
            if self._stopped:
                return
            (self._urgent if urgent else self._jobs).append(job)
            self._changed.notify()
            self._start_thread_if_needed()

    def replace(self, thread: threading.Thread) -> None:
        """Remove a hung thread from the pool, so that another can be started in its place."""
        with self._changed:
            self._threads.discard(thread)
            self._changed.notify_all()
            self._start_thread_if_needed()

    def stop(self) -> None:
        """Drop the queued jobs; each thread ends after its current job."""
        with self._changed:
            self._stopped = True
            self._urgent.clear()
            self._jobs.clear()
            self._changed.notify_all()

    def join(self) -> None:
        """Wait a short time for the threads to end after a stop; one may hang."""
        deadline = time.monotonic() + _JOIN_SECONDS
        for thread in tuple(self._threads):
            if (
                not thread.is_alive()
            ):  # an interrupt can leave a thread half started; joining it raises
                continue
            thread.join(max(0.0, deadline - time.monotonic()))

    def _start_thread_if_needed(self) -> None:
        """Start a thread if there is work for another; the caller holds the lock."""
        queued = len(self._urgent) + len(self._jobs)
        if queued <= self._idle or len(self._threads) >= self._max_threads:
            return
        thread = threading.Thread(target=self._run_jobs, name="orch-assets-worker", daemon=True)
        self._threads.add(thread)
        try:
            Context().run(thread.start)  # in no study's context: it runs jobs of all studies
        except RuntimeError:  # the system starts no more threads: fewer are enough, none is not
            self._threads.discard(thread)
            if not self._threads:
                raise

    def _run_jobs(self) -> None:
        while (job := self._next_job()) is not None:
            job()
            del job  # so that its objects are freed before the next job arrives

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
    """An event loop on a daemon thread, started when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._ending = False
        self._cancelled: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()

    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop; after a stop the call is dropped."""
        with self._lock:
            if self._stopped:
                return
            loop = self._loop or self._start()
        with suppress(RuntimeError):  # the loop was stopped and closed meanwhile
            loop.call_soon_threadsafe(function, *args)

    def cancel(self, task: "asyncio.Task[Any]") -> None:
        """Cancel a task; must run on the loop.

        The task may close its resources until some seconds after the stop.
        """
        self._cancelled.add(task)
        task.cancel()

    def stop(self) -> None:
        """Cancel the remaining tasks, without waiting for them."""
        with self._lock:
            was_stopped, self._stopped = self._stopped, True
            if self._loop is not None and not was_stopped:
                self._loop.call_soon_threadsafe(self._end, self._loop)

    def join(self) -> None:
        """Wait a short time for the thread to end after a stop."""
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS)

    def _start(self) -> asyncio.AbstractEventLoop:
        loop = self._loop = asyncio.new_event_loop()
        loop.set_default_executor(_DaemonThreads())
        loop.set_task_factory(_StudyTask.create)
        loop.set_exception_handler(_record_uncaught)
        self._thread = threading.Thread(
            target=self._serve, args=(loop,), name="orch-assets-loop", daemon=True
        )
        Context().run(self._thread.start)  # in no study's context: it serves all studies
        return loop

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ending = True
        loop.stop()

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            while not self._ending:  # a pipeline may stop the loop, but must not end it
                loop.run_forever()
            loop.run_until_complete(self._end_tasks())
        finally:
            loop.close()

    async def _end_tasks(self) -> None:
        """Cancel the remaining tasks and let them close their resources."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks - set(self._cancelled):  # a second cancel would interrupt their closing
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSING_SECONDS)
        await asyncio.get_running_loop().shutdown_asyncgens()


class _StudyTask(asyncio.Task[Any]):
    """A task that records its study, since Python 3.11 doesn't report a dropped task's context."""

    def __init__(self, coro: Coroutine[Any, Any, Any], **options: Any) -> None:
        super().__init__(coro, **options)
        context = options.get("context")
        self.study = current_context() if context is None else study_in(context)

    @classmethod
    def create(cls, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> "_StudyTask":
        """Return a task: the loop's task factory."""
        return cls(coro, loop=loop, **options)


def _record_uncaught(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG001 - asyncio's signature
    """Record an exception that nobody awaits, without its text: asyncio would print data values."""
    error = context.get("exception")
    if error is None:
        _log.warning("asyncio: %s", context.get("message"))
        return
    study = getattr(context.get("task") or context.get("future"), "study", None)
    if handle := context.get("handle"):
        study = study_in(handle._context)  # noqa: SLF001 - Python 3.12 runs this handler in that context
    if not record(Raised(error, IN_ASYNCIO), study):
        _log.error("Exception in a task that nobody awaits: %s", describe_failure(error).loggable)


class _DaemonThreads(ThreadPoolExecutor):
    """Starts a daemon thread for each call of ``asyncio.to_thread``.

    The interpreter waits at exit for the threads of asyncio's default executor, and a few hung
    threads fill it: one study could block the exit or every other study.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()  # a started call can't be cancelled

        def call() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - raised in the awaiting study
                future.set_exception(error)

        threading.Thread(target=call, name="orch-assets-to-thread", daemon=True).start()
        return future


class Timers:
    """Calls scheduled by the clock. Any thread may add one; one thread makes them.

    Args:
        clock: Returns seconds, monotonic.
        on_earlier: Called when a new call is due before all others, so that the wait for the next
            call becomes shorter.
    """

    def __init__(self, clock: Callable[[], float], on_earlier: Callable[[], object]) -> None:
        self.now = clock
        self._on_earlier = on_earlier
        self._lock = threading.Lock()
        self._heap: list[tuple[float, int, Job]] = []
        self._order = itertools.count()

    def at(self, due: float, call: Job) -> None:
        """Schedule a call for when the clock reads ``due`` seconds."""
        entry = (due, next(self._order), call)
        with self._lock:
            heapq.heappush(self._heap, entry)
            first = self._heap[0] is entry
        if first:
            self._on_earlier()

    def after(self, seconds: float, call: Job) -> None:
        """Schedule a call for a number of seconds from now."""
        self.at(self.now() + seconds, call)

    def make_due(self) -> float | None:
        """Make the calls that are due; return the seconds to the next call, None without one."""
        while True:
            with self._lock:
                if not self._heap:
                    return None
                seconds_left = self._heap[0][0] - self.now()
                if seconds_left > 0:
                    return seconds_left
                call = heapq.heappop(self._heap)[2]
            call()
