"""Receives one answer of the API within limits of time and size, through any `httpx.Client`.

httpx limits each wait for the next piece of an answer, so an answer of one byte a second never
ends; its decoders decompress whatever arrives, so a small answer can fill the memory. Both limits
here hold from the connection to the last byte, for `StandardTransport` and for httpx's own
transport.

While an answer is received, nothing that httpx and httpcore log reaches the logs: httpx logs whole
URLs at INFO, whose filters hold data values; httpcore logs the headers of answers at DEBUG. Other
users of these packages keep their log records.
"""

import contextlib
import functools
import io
import logging
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import httpx

# The only encoding that is requested; a body in any other one is not JSON.
ENCODING: Final = "gzip"
_GZIP: Final = frozenset({"gzip", "x-gzip"})
# A gateway may compress what is already compressed; nobody does so more often.
_MOST_ENCODINGS: Final = 2

_PIECE: Final = 1 << 20
# Allowed beside the body: the header, and the sizes of the chunks.
_FRAMING_BYTES: Final = 1 << 20

_LOGGERS: Final = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)


class AnswerTooLargeError(Exception):
    """An answer exceeds the allowed size. Never leaves the package."""


@dataclass(frozen=True)
class AnswerLimits:
    """The limits of one answer.

    Attributes:
        seconds: From the connection to the last byte.
        size: Bytes of the body, both compressed and decompressed.
    """

    seconds: float
    size: int


@dataclass(frozen=True)
class ReceivedAnswer:
    """A complete answer with its decompressed body."""

    status_code: int
    headers: httpx.Headers
    content: bytes


class Allowance:
    """The time and the bytes on the wire that remain for one exchange."""

    def __init__(self, limits: AnswerLimits) -> None:
        self._end = time.monotonic() + limits.seconds
        self._bytes = limits.size + _FRAMING_BYTES

    def seconds(self) -> float:
        """Return the remaining seconds.

        Raises:
            httpx.ReadTimeout: The time is over.
        """
        remaining = self._end - time.monotonic()
        if remaining <= 0:
            raise httpx.ReadTimeout("The whole answer took too long.")
        return remaining

    def shorter(self, seconds: float | None) -> float:
        """Return the remaining seconds or the given ones, whichever are fewer; see `seconds`."""
        remaining = self.seconds()
        return remaining if seconds is None else min(remaining, seconds)

    def check(self, announced: int) -> None:
        """Raise AnswerTooLargeError if an announced length exceeds the remaining bytes."""
        if announced > self._bytes:
            raise AnswerTooLargeError

    def take(self, received: int) -> None:
        """Subtract received bytes; raise AnswerTooLargeError if they exceed the remaining ones."""
        self._bytes -= received
        self.check(0)


# The allowance of this thread's exchange. A context variable, because httpx's transport passes
# nothing of a request to where it reads from the network, on connections that many requests share.
_allowance: ContextVar[Allowance | None] = ContextVar("orch_assets_registry_answer", default=None)


def allowance() -> Allowance | None:
    """Return the allowance of this thread's exchange; None outside of `receive`."""
    return _allowance.get()


def receive(client: httpx.Client, request: httpx.Request, limits: AnswerLimits) -> ReceivedAnswer:
    """Send a request and return its whole answer.

    Raises:
        AnswerTooLargeError: The answer exceeds the allowed size; receiving stopped there.
        httpx.TransportError: The answer didn't arrive completely, or not in time.
        httpx.DecodingError: The body can't be decompressed.
    """
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_is_no_exchange_of_ours)  # adds it only once
    token = _allowance.set(Allowance(limits))
    request.extensions["trace"] = _limit_new_connection
    try:
        response = client.send(request, stream=True, follow_redirects=False)
        with contextlib.closing(response):
            content = _content(response, limits.size)
    finally:
        _allowance.reset(token)
    return ReceivedAnswer(response.status_code, response.headers, content)


def _is_no_exchange_of_ours(_: logging.LogRecord) -> bool:
    return _allowance.get() is None


def _content(response: httpx.Response, size: int) -> bytes:
    # Consumed already by an event hook of the caller's client, or made up by its transport.
    if response.is_stream_consumed:
        return b"".join(_limited([response.content], size))
    pieces: Iterator[bytes] = _limited(response.iter_raw(), size)
    names = response.headers.get("content-encoding", "").lower().replace(" ", "").split(",")
    encodings = [name for name in names if name in _GZIP]
    if len(encodings) > _MOST_ENCODINGS:
        raise httpx.DecodingError("The answer is compressed too often.")
    for _ in encodings:
        pieces = _limited(_decompressed(pieces), size)
    return _joined(pieces)


def _limited(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the pieces; raise AnswerTooLargeError when they exceed the size in bytes."""
    for piece in pieces:
        size -= len(piece)
        if size < 0:
            raise AnswerTooLargeError
        yield piece


def _decompressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress gzip's first member, as httpx does, at most one piece at a time."""
    decompressor = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        for piece in pieces:
            # In parts: the remaining compressed bytes are copied each time.
            for start in range(0, len(piece), _PIECE):
                compressed = piece[start : start + _PIECE]
                while compressed and not decompressor.eof:
                    yield decompressor.decompress(compressed, _PIECE)
                    compressed = decompressor.unconsumed_tail
        yield decompressor.flush()
    except zlib.error:
        raise httpx.DecodingError("The answer can't be decompressed.") from None
    if not decompressor.eof:
        raise httpx.DecodingError("The end of the compressed answer is missing.")


def _joined(pieces: Iterator[bytes]) -> bytes:
    first = next(pieces, b"")
    buffer: io.BytesIO | None = None
    for piece in pieces:
        if buffer is None:
            buffer = io.BytesIO()
            buffer.write(first)
        buffer.write(piece)
    return first if buffer is None else buffer.getvalue()


def _limit_new_connection(event: str, info: Mapping[str, Any]) -> None:
    """Make a connection that httpx opened read within the allowance of the current exchange.

    httpx calls this hook (the extension ``trace``) for each new connection, and for no later event
    that would lead to one. It reads an answer's header by many reads, each with its own timeout.
    """
    if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
        stream = info["return_value"]
        stream.read = functools.partial(_read_within_allowance, stream.read)


def _read_within_allowance(
    read: Callable[[int, float | None], bytes], max_bytes: int, timeout: float | None = None
) -> bytes:
    remaining = _allowance.get()
    if remaining is None:  # a request of the caller's own
        return read(max_bytes, timeout)
    piece = read(max_bytes, remaining.shorter(timeout))
    remaining.take(len(piece))
    return piece
