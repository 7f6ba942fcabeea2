"""The handle that ends a run from elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class CancelHandle:
    """Ends the runs that were given it; from any thread, or from a signal handler.

    What has not ended then is ``FAILED`` with ``Cancelled: …``, may not publish any more, and the
    call returns. A handle stays cancelled: a run that is given it later ends at once.

    Example:
        >>> handle = CancelHandle()
        >>> signal.signal(signal.SIGTERM, lambda *_: handle.cancel())  # doctest: +SKIP
        >>> MultiStudyOrchestrator(sdk, cancel=handle).execute_pipeline(count)  # doctest: +SKIP
    """

    # No lock: a signal handler may run in the middle of any method here. What each line does to
    # the list and the flag is atomic, and telling a run twice does no harm.

    def __init__(self) -> None:
        self._cancelled = False
        self._told: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._cancelled

    def cancel(self) -> None:
        """End the runs; returns at once."""
        self._cancelled = True
        for tell in tuple(self._told):
            tell()

    @contextmanager
    def telling(self, tell: Callable[[], None]) -> Iterator[None]:
        """Call ``tell`` when it is cancelled, or now if it was, until the block ends."""
        self._told.append(tell)
        try:
            if self._cancelled:
                tell()
            yield
        finally:
            self._told.remove(tell)
