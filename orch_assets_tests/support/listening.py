"""A server on loopback with a thread for each connection: what it says, its subclasses know."""

import socket
import ssl
import threading
from contextlib import suppress
from typing import Any, Self


class Listener:
    """Listens on a free port from its creation on; closes with its ``with`` block.

    Args:
        tls: for connections that begin with a handshake; None for plain ones.

    Attributes:
        port: where it listens.
        closing: set when it closes.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.closing = threading.Event()
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name=type(self).__name__, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.closing.set()
        with suppress(OSError):  # closed already
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def serve(self, connection: Any) -> None:
        """Talk to one client; the connection is closed afterwards."""
        raise NotImplementedError

    def begin(self, accepted: socket.socket) -> None:
        """Take up a connection, encrypted where that is wanted."""
        if self._tls is None:
            self.serve(accepted)
            return
        with self._tls.wrap_socket(accepted, server_side=True) as encrypted:
            self.serve(encrypted)

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._take_up, args=(accepted,), daemon=True).start()

    def _take_up(self, accepted: socket.socket) -> None:
        with suppress(OSError), accepted:
            self.begin(accepted)


def relay(
    source: socket.socket,
    target: socket.socket,
    *,
    size: int = 65536,
    pause: float = 0.0,
    closing: threading.Event | None = None,
    noted: list[bytes] | None = None,
) -> None:
    """Pass bytes on until one side ends; then end both.

    Args:
        source: where they come from.
        target: where they go.
        size: the most bytes at once.
        pause: seconds after each piece.
        closing: ends it when set.
        noted: takes a copy of each piece.
    """
    closing = closing or threading.Event()
    with suppress(OSError):
        while (piece := source.recv(size)) and not closing.is_set():
            if noted is not None:
                noted.append(piece)
            target.sendall(piece)
            if pause:
                closing.wait(pause)
    for end in (target, source):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
