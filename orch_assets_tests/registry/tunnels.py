"""A proxy on loopback that gives tunnels, and notes who asked for which."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class TunnelProxy:
    """Whatever name is asked for, the tunnel leads to one place on loopback.

    Args:
        leads_to: the port there.
        tls: for a proxy that is itself reached by TLS.
        refusal: said instead of giving a tunnel.

    Attributes:
        port: where it listens.
        heads: what was asked for.
        passed: the bytes that clients sent through.
    """

    def __init__(
        self, leads_to: int, tls: ssl.SSLContext | None = None, refusal: bytes | None = None
    ) -> None:
        self._leads_to = leads_to
        self._tls = tls
        self._refusal = refusal
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.heads: list[bytes] = []
        self.passed: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):  # closed already
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        with suppress(OSError), accepted:
            if self._tls is None:
                self._tunnel(accepted)
                return
            with self._tls.wrap_socket(accepted, server_side=True) as encrypted:
                self._tunnel(encrypted)

    def _tunnel(self, client: socket.socket) -> None:
        self.heads.append(client.recv(65536))
        if self._refusal is not None:
            client.sendall(self._refusal)
            return
        with socket.create_connection(("127.0.0.1", self._leads_to)) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pass, args=(server, client, None), daemon=True)
            back.start()
            _pass(client, server, self.passed)
            back.join()


def _pass(source: socket.socket, target: socket.socket, noted: list[bytes] | None) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            if noted is not None:
                noted.append(piece)
            target.sendall(piece)
    for end in (target, source):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def tunnel_proxy(
    leads_to: int, *, tls: ssl.SSLContext | None = None, refusal: bytes | None = None
) -> Iterator[TunnelProxy]:
    opened = TunnelProxy(leads_to, tls, refusal)
    try:
        yield opened
    finally:
        opened.close()
