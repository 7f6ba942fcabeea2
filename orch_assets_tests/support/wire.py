"""Between client and registry on loopback: passes bytes on, and spoils chosen answers."""

import contextlib
import datetime as dt
import ipaddress
import random
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from orch_assets_tests.support.listening import Listener

Spoil = Callable[["Connection", bytes], None]
"""What is done with an answer instead of sending it; the connection ends afterwards."""

_HOLD_SECONDS: Final = 60.0


@dataclass
class SpoiledAnswers:
    """Which answers are spoiled, and how often it is still to happen; ``left`` None is always."""

    endpoint: str
    page: int | None
    spoil: Spoil
    left: int | None = None

    def hits(self, endpoint: str, page: int) -> bool:
        if self.left == 0 or endpoint != self.endpoint or self.page not in {None, page}:
            return False
        self.left = None if self.left is None else self.left - 1
        return True


@dataclass
class Connection:
    """One from the client: plain, or TLS whose bytes we hold before they are sent.

    Attributes:
        socket: the raw one.
        closing: set when the wire is taken down.
        tls: None for a plain one.
    """

    socket: socket.socket
    closing: threading.Event
    tls: ssl.SSLObject | None = None
    incoming: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    outgoing: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)

    def begin_tls(self, context: ssl.SSLContext) -> None:
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self._pump(self.tls.do_handshake)

    def receive_request(self) -> bytes:
        """Return the next request's head; empty when the client is gone."""
        head = b""
        while b"\r\n\r\n" not in head:
            piece = self._pump(lambda: self.tls.read(65536)) if self.tls else self._received()
            if not piece:
                return b""
            head += piece
        return head

    def on_the_wire(self, answer: bytes) -> bytes:
        """Return the bytes that carry an answer: itself, or its TLS records."""
        if self.tls is None:
            return answer
        self.tls.write(answer)
        return self.outgoing.read()

    def send(self, answer: bytes) -> None:
        self.socket.sendall(self.on_the_wire(answer))

    def reset(self) -> None:
        """Close with RST in place of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _received(self) -> bytes:
        return self.socket.recv(65536)

    def _pump(self, step: Callable[[], bytes | None]) -> bytes:
        while True:
            try:
                done = step() or b""
            except ssl.SSLWantReadError:
                self.socket.sendall(self.outgoing.read())
                if not (piece := self._received()):
                    return b""
                self.incoming.write(piece)
                continue
            except ssl.SSLError:
                return b""
            self.socket.sendall(self.outgoing.read())
            return done


class Wire(Listener):
    """A proxy in front of a registry.

    Args:
        upstream: the registry's base URL.
        tls: the server's side; None for plain HTTP.
    """

    def __init__(self, upstream: str, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname, parts.port)
        self._lock = threading.Lock()
        self.spoiled: list[SpoiledAnswers] = []
        super().__init__(tls)
        self.base_url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"

    def begin(self, accepted: socket.socket) -> None:
        """Encrypt by hand: an answer is spoiled by what goes over the wire."""
        connection = Connection(accepted, self.closing)
        if self._tls is not None:
            connection.begin_tls(self._tls)
        self.serve(connection)

    def serve(self, connection: Connection) -> None:
        while head := connection.receive_request():
            answer = self._ask(head)
            spoiled = self._spoiled_by(head)
            if spoiled is not None:
                spoiled(connection, answer)
                return
            connection.send(answer)

    def _ask(self, head: bytes) -> bytes:
        head = re.sub(rb"(?im)^connection:.*\r\n", b"", head)
        head = head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        with socket.create_connection(self._upstream) as upstream:
            upstream.sendall(head)
            answer = b"".join(iter(lambda: upstream.recv(1 << 20), b""))
        return re.sub(rb"(?i)\r\nconnection: close", b"", answer, count=1)

    def _spoiled_by(self, head: bytes) -> Spoil | None:
        target = head.split(b" ", 2)[1].decode("ascii")
        endpoint = target.partition("?")[0].rpartition("/")[2]
        page = re.search(r"[?&]page=(\d+)", target)
        with self._lock:
            hit = (s for s in self.spoiled if s.hits(endpoint, int(page[1]) if page else 0))
            found = next(hit, None)
        return found.spoil if found else None


def reset(connection: Connection, answer: bytes) -> None:
    """No answer, but a reset."""
    connection.reset()


def cut_anywhere(seed: int, *, rudely: bool = False) -> Spoil:
    """Return what sends so many bytes of an answer, head and TLS records included, and no more."""
    chance = random.Random(seed)

    def cut(connection: Connection, answer: bytes) -> None:
        carried = connection.on_the_wire(answer)
        connection.socket.sendall(carried[: chance.randrange(len(carried))])
        if rudely:
            connection.reset()

    return cut


def cut_in_the_last_record(connection: Connection, answer: bytes) -> None:
    """All of the answer but its last three bytes on the wire."""
    connection.socket.sendall(connection.on_the_wire(answer)[:-3])


def silence(connection: Connection, answer: bytes) -> None:
    """Never an answer; the connection stays open until the client has enough of it."""
    connection.socket.settimeout(_HOLD_SECONDS)
    while not connection.closing.is_set() and connection._received():
        pass


def drip(pause: float) -> Spoil:
    """Return what sends an answer byte by byte, with such pauses."""

    def send(connection: Connection, answer: bytes) -> None:
        for byte in connection.on_the_wire(answer):
            connection.socket.sendall(bytes([byte]))
            if connection.closing.wait(pause):
                return

    return send


def with_header(line: str) -> Spoil:
    """Return what adds a header to an answer."""

    def send(connection: Connection, answer: bytes) -> None:
        connection.send(answer.replace(b"\r\n", f"\r\n{line}\r\n".encode(), 1))

    return send


def saying(answer: bytes) -> Spoil:
    """Return what answers with these bytes."""

    def say(connection: Connection, _: bytes) -> None:
        connection.send(answer)

    return say


def http_answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Return an answer as bytes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def certificate(folder: Path, *names: str) -> Path:
    """Write a key and a certificate for 127.0.0.1 and for names, for a day, signed by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(name, name, key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([address, *map(x509.DNSName, names)]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "loopback.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@contextlib.contextmanager
def wires_to(upstream: str, folder: Path) -> Iterator[dict[bool, Wire]]:
    """Yield proxies in front of a registry, without and with TLS, which clients then trust."""
    pem = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with (
        pytest.MonkeyPatch.context() as patch,
        Wire(upstream) as plain,
        Wire(upstream, context) as tls,
    ):
        patch.setenv("SSL_CERT_FILE", str(pem))
        yield {False: plain, True: tls}
