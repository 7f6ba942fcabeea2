"""Handling of the signals that end a command.

It finds out which signal came first, and protects cleanup from interruption.
"""

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

_ENDING: Final = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def interrupting(*, last: bool) -> Iterator[Callable[[], int | None]]:
    """Let SIGTERM interrupt the block as Ctrl-C does, and report which of them came first.

    Dagster handles both signals during a run, doesn't distinguish them, and gives SIGTERM the
    handler of SIGINT afterwards. The interpreter's wakeup file descriptor receives the number of
    every signal all the same.

    Args:
        last: Whether the process ends after the block. If so, both signals are ignored from then
            on, so that they can't change the outcome that was reported.

    Yields:
        A function that returns the number of the first of these signals. It returns None if none
        came, or if the block isn't run by the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    reader, writer = socket.socketpair()
    received = bytearray()
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as in a script's background job

    def first() -> int | None:
        with contextlib.suppress(BlockingIOError):
            received.extend(reader.recv(1024))
        return next((number for number in received if number in _ENDING), None)

    def interrupt(number: int, _: FrameType | None) -> None:
        if not (ignored and number == signal.SIGINT):
            raise KeyboardInterrupt

    with reader, writer, _handled_by(interrupt, signal.SIG_IGN if last else None):
        reader.setblocking(False)
        writer.setblocking(False)
        previous = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield first
        finally:
            signal.set_wakeup_fd(previous)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore both signals in the block, so that cleanup after an interruption is complete."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handled_by(lambda _number, _frame: None):
        yield


@contextlib.contextmanager
def _handled_by(
    handler: Callable[[int, FrameType | None], None], afterwards: signal.Handlers | None = None
) -> Iterator[None]:
    previous = {number: signal.getsignal(number) for number in _ENDING}
    try:
        for number in _ENDING:
            signal.signal(number, handler)
        yield
    finally:
        for number, handler_before in previous.items():
            signal.signal(number, handler_before if afterwards is None else afterwards)
