"""A server on loopback that says what a script says, piece by piece, and knows nothing of HTTP."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

Script = Callable[[], Iterable[bytes]]


class Talker:
    """Answers each request, after its head, with all that the script gives.

    Attributes:
        base_url: where it listens.
        requests: the heads that came.
        hung_up: set whenever a client was gone before the script had ended.
    """

    def __init__(self, script: Script, pause: float, tls: ssl.SSLContext | None) -> None:
        self._script = script
        self._pause = pause
        self._tls = tls
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.requests: list[bytes] = []
        self.hung_up = threading.Event()
        scheme = "https" if tls else "http"
        self.base_url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._talk, args=(accepted,), daemon=True).start()

    def _talk(self, accepted: socket.socket) -> None:
        with suppress(OSError), accepted:
            if self._tls is None:
                self._answer(accepted)
                return
            with self._tls.wrap_socket(accepted, server_side=True) as encrypted:
                self._answer(encrypted)

    def _answer(self, connection: socket.socket) -> None:
        while request := connection.recv(65536):
            self.requests.append(request)
            for piece in self._script():
                if self._closing.is_set():
                    return
                try:
                    connection.sendall(piece)
                except OSError:
                    self.hung_up.set()
                    return
                if self._pause:
                    self._closing.wait(self._pause)


@contextmanager
def talking(
    script: Script, *, pause: float = 0.0, tls: ssl.SSLContext | None = None
) -> Iterator[Talker]:
    """Run a server that waits so many seconds after each piece."""
    talker = Talker(script, pause, tls)
    try:
        yield talker
    finally:
        talker.close()


def dripping(answer: bytes) -> Script:
    """Return the script that says these bytes one at a time."""
    return lambda: (answer[at : at + 1] for at in range(len(answer)))


class SlowRelay:
    """Passes bytes between a client and a server; the server's one at a time.

    Attributes:
        base_url: where it listens.
        connections: how many came.
    """

    def __init__(self, upstream: str, pause: float) -> None:
        scheme, _, place = upstream.partition("://")
        host, _, port = place.partition(":")
        self._upstream = (host, int(port))
        self._pause = pause
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._connect, args=(accepted,), daemon=True).start()

    def _connect(self, accepted: socket.socket) -> None:
        with accepted, socket.create_connection(self._upstream) as upstream:
            forth = (accepted, upstream, 65536, 0.0)
            back = (upstream, accepted, 1, self._pause)
            thread = threading.Thread(target=self._relay, args=forth, daemon=True)
            thread.start()
            self._relay(*back)
            thread.join()

    def _relay(self, source: socket.socket, target: socket.socket, size: int, pause: float) -> None:
        with suppress(OSError):
            while (piece := source.recv(size)) and not self._closing.is_set():
                target.sendall(piece)
                if pause:
                    self._closing.wait(pause)
        for end in (target, source):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def slow_relay(upstream: str, pause: float) -> Iterator[SlowRelay]:
    """Run a relay that waits so many seconds after each byte of the server's."""
    relay = SlowRelay(upstream, pause)
    try:
        yield relay
    finally:
        relay.close()
