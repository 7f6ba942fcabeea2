"""Signals that end a command: which one came, whoever handled it, and peace to wind up."""

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
    """Let SIGTERM interrupt the block as Ctrl-C does; tell which of them came first.

    Dagster handles both while a run goes on, without telling them apart, and gives SIGTERM the
    handler of SIGINT afterwards. What the interpreter notes of each signal, it can't hide.

    Args:
        last: whether the process ends after the block: what it has said of its end stays true,
            so both signals are ignored from then on.

    Yields:
        A function that returns the number of the first of these signals; None where none came, or
        where another thread than the main one asks.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    reader, writer = socket.socketpair()
    noted = bytearray()
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as in the background of a script

    def first() -> int | None:
        with contextlib.suppress(BlockingIOError):
            noted.extend(reader.recv(1024))
        return next((number for number in noted if number in _ENDING), None)

    def interrupt(number: int, _: FrameType | None) -> None:
        if not (ignored and number == signal.SIGINT):
            raise KeyboardInterrupt

    with reader, writer, _handled_by(interrupt, signal.SIG_IGN if last else None):
        reader.setblocking(False)
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield first
        finally:
            signal.set_wakeup_fd(before)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let neither signal interrupt the block: what an interruption leaves must be put in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handled_by(lambda _number, _frame: None):
        yield


@contextlib.contextmanager
def _handled_by(
    handler: Callable[[int, FrameType | None], None], afterwards: signal.Handlers | None = None
) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _ENDING}
    try:
        for number in _ENDING:
            signal.signal(number, handler)
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier if afterwards is None else afterwards)
