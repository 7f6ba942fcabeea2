"""Receivers of alerts on loopback: a webhook, and mail servers with and without TLS."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


@dataclass
class Hook:
    """A webhook; ``answers`` is what it answers next: a status, a status with headers, or a hang.

    Without any answers left, it takes all that it gets.

    Attributes:
        taken: The bodies that it took.
        tried: Number of requests.
    """

    url: str = ""
    answers: list[Any] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)
    tried: int = 0
    closing: threading.Event = field(default_factory=threading.Event)


class _Server(ThreadingHTTPServer):
    hook: Hook

    def handle_error(self, *_: Any) -> None:
        pass  # a client that went away


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        hook = self.server.hook
        hook.tried += 1
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = hook.answers.pop(0) if hook.answers else 200
        if isinstance(answer, str):
            self._hang(drip=answer == "drip")
            return
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        if status < 300:
            hook.taken.append(json.loads(body))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def _hang(self, *, drip: bool) -> None:
        if drip:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not self.server.hook.closing.wait(0.05):
            if drip:
                self.wfile.write(b"x")

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def webhook(*answers: Any, tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Hook]:
    """Give a webhook on a free port, with a token in its address."""
    hook = Hook(answers=list(answers))
    server = _Server(("127.0.0.1", port), _Handler)
    server.hook = hook
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "http" if tls is None else "https"
    hook.url = f"{scheme}://127.0.0.1:{server.server_port}/services/PLANTED-TOKEN"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        hook.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class Mails:
    """The mails that a server took; it refuses recipients and content on request."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.refused: set[str] = set()
        self.on_data = "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address in self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self.on_data.startswith("250"):
            self.taken.append(message_from_bytes(envelope.content, policy=policy.default))
        return self.on_data


@contextmanager
def mail_server(
    *,
    implicit: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
    login: tuple[str, str] | None = None,
) -> Iterator[tuple[Mails, int]]:
    """Give the mails that a server takes, and its port.

    Args:
        implicit: For TLS from the first byte.
        starttls: For STARTTLS.
        login: The user and password that it requires; None for no login.
    """

    def authenticate(server, session, envelope, mechanism, data):
        is_right = (data.login.decode(), data.password.decode()) == login
        return AuthResult(success=is_right, handled=False)

    mails = Mails()
    controller = Controller(
        mails,
        hostname="127.0.0.1",
        port=_free_port(),
        ssl_context=implicit,
        tls_context=starttls,
        authenticator=authenticate if login else None,
        auth_required=login is not None,
        auth_require_tls=starttls is not None,
    )
    controller.start()
    try:
        yield mails, controller.port
    finally:
        controller.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
