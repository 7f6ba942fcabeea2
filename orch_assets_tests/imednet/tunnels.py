"""A loopback proxy that opens tunnels, and records the requests for them."""

import socket
import ssl
import threading

from orch_assets_tests.support.listening import Listener, relay


class TunnelProxy(Listener):
    """Every tunnel leads to the same loopback port, whatever host is requested.

    Args:
        leads_to: the port there.
        tls: for a proxy that is itself reached by TLS.
        refusal: said instead of giving a tunnel.

    Attributes:
        heads: what was asked for.
        passed: the bytes that clients sent through.
    """

    def __init__(
        self, leads_to: int, *, tls: ssl.SSLContext | None = None, refusal: bytes | None = None
    ) -> None:
        self._leads_to = leads_to
        self._refusal = refusal
        self.heads: list[bytes] = []
        self.passed: list[bytes] = []
        super().__init__(tls)

    def serve(self, connection: socket.socket) -> None:
        self.heads.append(connection.recv(65536))
        if self._refusal is not None:
            connection.sendall(self._refusal)
            return
        with socket.create_connection(("127.0.0.1", self._leads_to)) as server:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=relay, args=(server, connection), daemon=True)
            back.start()
            relay(connection, server, noted=self.passed)
            back.join()
