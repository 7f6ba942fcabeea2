"""Makes one batch while another one is read or written, in a thread.

Libraries that let go of the interpreter then use the machine's second core.

A stream that isn't read to its end must be closed, since it waits for its thread then. The garbage
collector would close it in any thread, even in one that is just being started; there, CPython 3.11
waits forever, and so does each thread that is started later. A ``for`` statement closes the stream
that only it has; :func:`closing` is for all others.
"""

import contextlib
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def one_ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield the items; the next one is made in a thread while the caller uses this one."""
    nothing: Any = object()
    with ThreadPoolExecutor(1, "orch-assets-one-ahead") as thread:
        following = thread.submit(next, items, nothing)
        while (item := following.result()) is not nothing:
            following = thread.submit(next, items, nothing)
            yield item


@contextlib.contextmanager
def closing(*streams: Iterator[Any]) -> Iterator[None]:
    """Close streams at the end of the block, also after an error whose traceback holds them."""
    with contextlib.ExitStack() as stack:
        for stream in streams:
            if isinstance(stream, Generator):
                stack.callback(stream.close)
        yield


@contextlib.contextmanager
def one_behind(write: Callable[[T], object]) -> Iterator[Callable[[T], None]]:
    """Return a function that writes in a thread; it waits for the item before, and its error."""
    pending: list[Future[object]] = []

    def submit(item: T) -> None:
        for earlier in pending:
            earlier.result()
        pending[:] = [thread.submit(write, item)]

    with ThreadPoolExecutor(1, "orch-assets-one-behind") as thread:
        yield submit
        for last in pending:
            last.result()
