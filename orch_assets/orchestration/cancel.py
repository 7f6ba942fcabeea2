"""The handle that cancels runs from another thread or from a signal handler."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class CancelHandle:
    """Cancels the runs that it was passed to, from any thread or from a signal handler.

    Studies that have not ended are ``FAILED`` with ``Cancelled: …`` and can no longer publish; the
    call returns. A handle stays cancelled: a run that receives it later ends at once.

    Example:
        >>> handle = CancelHandle()
        >>> signal.signal(signal.SIGTERM, lambda *_: handle.cancel())  # doctest: +SKIP
        >>> MultiStudyOrchestrator(sdk, cancel=handle).execute_pipeline(count)  # doctest: +SKIP
    """

    # No lock: a signal handler may interrupt any method here. Each line's change to the list or the
    # flag is atomic, and a callback may be called twice without harm.

    def __init__(self) -> None:
        self._cancelled = False
        self._callbacks: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._cancelled

    def cancel(self) -> None:
        """Cancel the runs; returns at once."""
        self._cancelled = True
        for callback in tuple(self._callbacks):
            callback()

    @contextmanager
    def on_cancel(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call ``callback`` on cancellation while the block lasts; at once if already cancelled."""
        self._callbacks.append(callback)
        try:
            if self._cancelled:
                callback()
            yield
        finally:
            self._callbacks.remove(callback)
