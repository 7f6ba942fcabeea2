"""Loopback servers that send the bytes of a script piece by piece; they have no HTTP code."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterable

from orch_assets_tests.support.listening import Listener, relay

Script = Callable[[], Iterable[bytes]]


class Talker(Listener):
    """Answers each request, after its header, with all pieces of a script.

    Args:
        script: gives the pieces of an answer.
        pause: seconds after each piece.
        tls: for connections that begin with a handshake.

    Attributes:
        base_url: where it listens.
        requests: the heads that came.
        hung_up: set whenever a client was gone before the script had ended.
    """

    def __init__(
        self, script: Script, *, pause: float = 0.0, tls: ssl.SSLContext | None = None
    ) -> None:
        self._script = script
        self._pause = pause
        self.requests: list[bytes] = []
        self.hung_up = threading.Event()
        super().__init__(tls)
        self.base_url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        while request := connection.recv(65536):
            self.requests.append(request)
            for piece in self._script():
                if self.closing.is_set():
                    return
                try:
                    connection.sendall(piece)
                except OSError:
                    self.hung_up.set()
                    return
                if self._pause:
                    self.closing.wait(self._pause)


def dripping(answer: bytes) -> Script:
    """Return a script that sends these bytes one at a time."""
    return lambda: (answer[at : at + 1] for at in range(len(answer)))


class SlowRelay(Listener):
    """Relays bytes between a client and a server; those of the server one at a time.

    Args:
        upstream: the server's base URL.
        pause: seconds after each byte of the server's.

    Attributes:
        base_url: where it listens.
        connections: how many came.
    """

    def __init__(self, upstream: str, pause: float) -> None:
        scheme, _, place = upstream.partition("://")
        host, _, port = place.partition(":")
        self._upstream = (host, int(port))
        self._pause = pause
        self.connections = 0
        super().__init__()
        self.base_url = f"{scheme}://127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        self.connections += 1
        with socket.create_connection(self._upstream) as upstream:
            forth = threading.Thread(
                target=relay, args=(connection, upstream), kwargs={"closing": self.closing},
                daemon=True,
            )  # fmt: skip
            forth.start()
            relay(upstream, connection, size=1, pause=self._pause, closing=self.closing)
            forth.join()
