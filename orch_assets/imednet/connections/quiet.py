"""Keeps what httpx and httpcore log of our requests out of the logs.

httpx logs whole URLs at INFO, whose filters hold data values; httpcore logs the headers of answers
at DEBUG. Only records of our own exchanges are dropped; other users of these packages keep theirs.
"""

import contextlib
import logging
from collections.abc import Iterator
from contextvars import ContextVar

_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)

_exchanging: ContextVar[bool] = ContextVar("orch_assets_registry_exchange", default=False)


def _not_ours(_: logging.LogRecord) -> bool:
    return not _exchanging.get()


@contextlib.contextmanager
def quiet_httpx() -> Iterator[None]:
    """Drop what httpx logs inside."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_not_ours)  # once: a filter is added only once
    token = _exchanging.set(True)
    try:
        yield
    finally:
        _exchanging.reset(token)
