"""HTTP connections of servers whose answers are prepared."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any


class Connection(asyncio.Protocol):
    """A connection that answers each request after a while.

    Args:
        answer: Returns the answer to a request's target, and after how many seconds it is sent.
    """

    def __init__(self, answer: Callable[[str], tuple[bytes, float]]) -> None:
        self._answer = answer
        self._received = b""

    def connection_made(self, transport: Any) -> None:
        """Let a whole page be sent at once."""
        self._transport = transport
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)

    def data_received(self, data: bytes) -> None:
        """Answer the requests that have arrived whole."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            request, _, self._received = self._received.partition(b"\r\n\r\n")
            answer, seconds = self._answer(request.split(b" ", 2)[1].decode())
            asyncio.get_running_loop().call_later(seconds, self._transport.write, answer)
