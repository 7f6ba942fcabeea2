"""Worker threads that keep nobody: not the call, not the interpreter, not each other."""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Final

Job = Callable[[], object]

_END_SECONDS: Final = 1.0


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
        deadline = time.monotonic() + _END_SECONDS
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
