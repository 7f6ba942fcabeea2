"""What a run in a cluster must ask before it changes anything that lasts.

In a cluster, another process may decide that a run is dead, although its process only was cut off
for a while. Such a run must not publish or record anything any more. The process that executes the
run sets a guard; stores and the log of results ask it. Without a cluster there is no guard.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")


class RunGuard(Protocol):
    """Protects what lasts from a run that has ended for all others."""

    def require(self) -> None:
        """Return if the run may go on; wait until that is known; never return if it may not."""

    def storing(self, call: Callable[[], T]) -> T:
        """Make a call that writes to Dagster's database; wait while the database is away."""


# The guards of the process: at most one, as a worker executes one run at a time, in many threads.
_guards: list[RunGuard] = []


@contextmanager
def guarded_by(guard: RunGuard) -> Iterator[None]:
    """Let a guard protect what this process does in the block, in every thread."""
    _guards.append(guard)
    try:
        yield
    finally:
        _guards.remove(guard)


def require_run() -> None:
    """Return if the run of this process may go on, or if nothing guards it."""
    if _guards:
        _guards[-1].require()


def storing(call: Callable[[], T]) -> T:
    """Make a call that writes to Dagster's database, through the guard if there is one."""
    return _guards[-1].storing(call) if _guards else call()
