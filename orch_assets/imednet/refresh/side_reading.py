"""Readings beside each other: a refresh needs several short answers, and waits for each."""

import contextvars
import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from orch_assets.imednet.progress import ReadingCounts
from orch_assets.refreshing import RowChanges

T = TypeVar("T")


def beside(
    read: Callable[[ReadingCounts, RowChanges], T], counts: ReadingCounts, changes: RowChanges
) -> Callable[[], T]:
    """Begin a reading on a daemon thread, with the caller's context variables.

    Args:
        read: Reads, and counts what it does.
        counts: Counts the pages and retries once the result has been taken.
        changes: Counts the requests likewise.

    Returns:
        A function that waits for the result, or raises the reading's error; to be called once.
    """
    own, own_changes = ReadingCounts(), RowChanges()
    outcome: Future[T] = Future()

    def work() -> None:
        try:
            outcome.set_result(read(own, own_changes))
        except BaseException as error:  # noqa: BLE001 - raised where the result is taken
            outcome.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(
        target=functools.partial(context.run, work), name="registry-refresh", daemon=True
    ).start()

    def result() -> T:
        try:
            return outcome.result()
        finally:
            counts.pages += own.pages
            counts.retries += own.retries
            changes.requests += own_changes.requests

    return result
