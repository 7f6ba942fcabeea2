"""A proxy in front of a server, whose next responses fail as a test requests."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_DROPPED = {"transfer-encoding", "connection", "content-length", "date", "server"}


class FaultyServer(ThreadingHTTPServer):
    """Passes requests on.

    Attributes:
        target: host and port of the server behind.
        faults: of the next requests of a method: ``(method, fault)``, each used once. A fault is
            a status, ``"cut"`` (half of the answer) or ``"closed"`` (no answer).
        seen: method and path of every request.
    """

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target).netloc
        self.faults: list[tuple[str, int | str]] = []
        self.seen: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fault_of(self, method: str) -> int | str | None:
        for fault in self.faults:
            if fault[0] == method:
                self.faults.remove(fault)
                return fault[1]
        return None

    def handle_error(self, *_: Any) -> None:
        """Ignore clients that disconnect: some tests make them."""


@contextmanager
def faulty(target: str) -> Iterator[FaultyServer]:
    """Run a proxy."""
    server = FaultyServer(target)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: FaultyServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do(self) -> None:
        body = self._body()
        self.server.seen.append(f"{self.command} {self.path}")
        fault = self.server.fault_of(self.command)
        if fault == "closed":
            self.close_connection = True
            return
        if isinstance(fault, int):
            self.send_response(fault)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._pass_on(body, cut=fault == "cut")

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _pass_on(self, body: bytes, *, cut: bool) -> None:
        connection = http.client.HTTPConnection(self.server.target)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _DROPPED}
        headers["Content-Length"] = str(len(body))
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _DROPPED:
                self.send_header(name, value)
        size = answer.getheader("Content-Length") if self.command == "HEAD" else len(data)
        self.send_header("Content-Length", str(size or 0))
        self.end_headers()
        if cut:
            self.close_connection = True
            data = data[: len(data) // 2]
        self.wfile.write(data)
        connection.close()


for method in ("GET", "PUT", "POST", "HEAD", "DELETE"):
    setattr(_Handler, f"do_{method}", _Handler.do)
