"""One answer of the registry, received within bounds of time and size, over any client of httpx.

httpx bounds each wait for the next piece of an answer, so that an answer of one byte a second never
ends; its decoders unpack whatever comes, so that a small answer can fill the memory. Both bounds
hold from the connection to the last byte, for `StandardTransport` and for httpx's own transport.
"""

import contextlib
import functools
import io
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import httpx

# The only packing that is asked for; what comes packed otherwise is not JSON.
ENCODING: Final = "gzip"
_GZIP: Final = frozenset({"gzip", "x-gzip"})
# A gateway may pack what was packed. More often than this, nobody does.
_MOST_PACKINGS: Final = 2

_PIECE: Final = 1 << 20
# What an answer may have beside its body: its head, and the sizes of its chunks.
_FRAMING_BYTES: Final = 1 << 20


class AnswerTooLargeError(Exception):
    """An answer has more bytes than it may have. Never leaves the package."""


@dataclass(frozen=True)
class AnswerLimits:
    """What an answer may take.

    Attributes:
        seconds: from the connection to the last byte.
        size: bytes of the body, packed or unpacked.
    """

    seconds: float
    size: int


@dataclass(frozen=True)
class ReceivedAnswer:
    """An answer that came whole, with its body unpacked."""

    status_code: int
    headers: httpx.Headers
    content: bytes


class Allowance:
    """What one exchange may still take, of time and of bytes on the wire."""

    def __init__(self, limits: AnswerLimits) -> None:
        self._end = time.monotonic() + limits.seconds
        self._bytes = limits.size + _FRAMING_BYTES

    def seconds(self) -> float:
        """Return the seconds left.

        Raises:
            httpx.ReadTimeout: there are none.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpx.ReadTimeout("The whole answer took too long.")
        return left

    def shorter(self, seconds: float | None) -> float:
        """Return the seconds left, or those given where they are fewer; raise as `seconds` does."""
        left = self.seconds()
        return left if seconds is None else min(left, seconds)

    def check(self, announced: int) -> None:
        """Raise AnswerTooLargeError for an announced length that is more than is left."""
        if announced > self._bytes:
            raise AnswerTooLargeError

    def take(self, received: int) -> None:
        """Count bytes that came; raise AnswerTooLargeError for more than are left."""
        self._bytes -= received
        self.check(0)


# Of the exchange that this thread is in. By a context variable, since httpx's transport hands
# nothing of a request down to where it reads from the network.
_allowance: ContextVar[Allowance | None] = ContextVar("orch_assets_registry_answer", default=None)


def allowance() -> Allowance | None:
    """Return what the exchange of this thread may still take; None outside of `receive`."""
    return _allowance.get()


def receive(client: httpx.Client, request: httpx.Request, limits: AnswerLimits) -> ReceivedAnswer:
    """Send a request and return its whole answer.

    Raises:
        AnswerTooLargeError: it has more bytes than it may have; the others were not waited for.
        httpx.TransportError: no whole answer came, or not in time.
        httpx.DecodingError: it can't be unpacked.
    """
    token = _allowance.set(Allowance(limits))
    request.extensions["trace"] = _bound_new_connection
    try:
        response = client.send(request, stream=True, follow_redirects=False)
        with contextlib.closing(response):
            content = _content(response, limits.size)
    finally:
        _allowance.reset(token)
    return ReceivedAnswer(response.status_code, response.headers, content)


def _content(response: httpx.Response, size: int) -> bytes:
    # Where a hook of the caller's client has read it, or its transport made it up.
    if response.is_stream_consumed:
        return b"".join(_counted([response.content], size))
    pieces: Iterator[bytes] = _counted(response.iter_raw(), size)
    encodings = response.headers.get("content-encoding", "").lower().replace(" ", "").split(",")
    packings = [encoding for encoding in encodings if encoding in _GZIP]
    if len(packings) > _MOST_PACKINGS:
        raise httpx.DecodingError("The answer is packed too often.")
    for _ in packings:
        pieces = _counted(_unpacked(pieces), size)
    return _joined(pieces)


def _counted(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Give pieces on; raise AnswerTooLargeError when they are more bytes than that."""
    for piece in pieces:
        size -= len(piece)
        if size < 0:
            raise AnswerTooLargeError
        yield piece


def _unpacked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Unpack gzip's first member, as httpx does, no more than a piece at a time."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        for piece in pieces:
            # In parts: what isn't unpacked yet is copied each time.
            for start in range(0, len(piece), _PIECE):
                packed = piece[start : start + _PIECE]
                while packed and not unpacker.eof:
                    yield unpacker.decompress(packed, _PIECE)
                    packed = unpacker.unconsumed_tail
        yield unpacker.flush()
    except zlib.error:
        raise httpx.DecodingError("The answer can't be unpacked.") from None
    if not unpacker.eof:
        raise httpx.DecodingError("The end of the packed answer is missing.")


def _joined(pieces: Iterator[bytes]) -> bytes:
    first = next(pieces, b"")
    whole: io.BytesIO | None = None
    for piece in pieces:
        if whole is None:
            whole = io.BytesIO()
            whole.write(first)
        whole.write(piece)
    return first if whole is None else whole.getvalue()


def _bound_new_connection(event: str, info: Mapping[str, Any]) -> None:
    """Have a connection that httpx opened read within the allowance of the exchange.

    httpx tells this hook (the extension ``trace``) of each new connection, and of nothing later
    that would lead to one. An answer's head is read by many reads, of which it bounds each alone.
    """
    if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
        stream = info["return_value"]
        stream.read = functools.partial(_read_within_allowance, stream.read)


def _read_within_allowance(
    read: Callable[[int, float | None], bytes], max_bytes: int, timeout: float | None = None
) -> bytes:
    left = _allowance.get()
    if left is None:  # a request of the caller's own
        return read(max_bytes, timeout)
    piece = read(max_bytes, left.shorter(timeout))
    left.take(len(piece))
    return piece
