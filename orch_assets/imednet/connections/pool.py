"""Requests sent by the standard library's client, under httpx's interface.

A page of 500 records is a third of a megabyte. To receive one, httpx's own transport takes two to
three times the CPU that ``http.client`` does (h11 is Python), which is what bounds a window of many
pages. Certificates are checked as httpx checks them. A proxy is asked for a tunnel; one that is
itself reached by TLS is left to httpx's own transport.
"""

import functools
import http.client
import io
import multiprocessing.connection
import os
import socket
import ssl
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import httpx

from orch_assets.errors import SettingError
from orch_assets.imednet.connections.receiving import Allowance, allowance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch_assets.imednet.connections.proxies import Proxy

# A gateway forgets an idle connection without a word; httpx, too, uses none again after 5 s.
_IDLE_SECONDS: Final = 5.0
_FIRST_FINAL: Final = 200
_PIECE: Final = 1 << 20
_CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # those that httpx reads

_Place: TypeAlias = tuple[int, str, bytes, int | None]  # process, scheme, host, port


def _tls_context() -> ssl.SSLContext:
    try:
        context = httpx.create_ssl_context()
    except OSError:
        variable = next(filter(os.environ.get, _CERTIFICATES), None)
        if variable is None:
            raise
    else:
        context.set_alpn_protocols(["http/1.1"])
        return context
    raise SettingError(variable, "names no certificates that can be read.")


class StandardTransport(httpx.BaseTransport):
    """Sends requests by ``http.client``; raises httpx's errors. Safe from many threads.

    Keeps as many connections as there were requests at once.

    Args:
        proxy: one that gives tunnels; None connects directly.
        https: False refuses requests by TLS, and spares reading the certificates, which takes as
            long as tens of requests to a registry on this machine.

    Raises:
        SettingError: the environment names certificates that can't be read.
    """

    def __init__(self, proxy: "Proxy | None" = None, *, https: bool = True) -> None:
        self._proxy = proxy
        self._tls = _tls_context() if https else None
        self._closed = False
        self._pools: dict[_Place, _Idle] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and receive the whole answer."""
        url = request.url
        # By process: a connection that a fork copied would give one the other's answers.
        place = (os.getpid(), url.scheme, url.raw_host, url.port)
        idle = self._pools.setdefault(place, _Idle())
        connection = idle.take() or self._connected(request)
        again = False
        try:
            with _httpx_errors(request):
                connection.sock.settimeout(_shorter(_timeout(request, "read")))
                connection.request(
                    request.method,
                    url.raw_path.decode("ascii"),
                    body=request.read() or None,
                    headers=dict(request.headers),
                )
                # Closed, too: the last one of a connection holds its socket by itself.
                with connection.getresponse() as answer:
                    # What it announces would be taken for the next.
                    if answer.status < _FIRST_FINAL:
                        raise http.client.UnknownProtocol(str(answer.status))
                    body = _body(answer)
            again = not answer.will_close
        finally:
            if again:
                idle.put(connection)
            else:
                connection.close()
            if self._closed:
                idle.close()
        # As the bytes that they were: httpx refuses text that is not ASCII, and quotes it.
        headers = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in answer.headers.items()
        ]
        return httpx.Response(answer.status, headers=headers, stream=httpx.ByteStream(body))

    def close(self) -> None:
        """Close the connections that nobody uses; the others, when they have their answers."""
        self._closed = True
        for idle in list(self._pools.values()):
            idle.close()

    def _connected(self, request: httpx.Request) -> "_Connection":
        url = request.url
        host = url.raw_host.decode("ascii")
        # The port always: without one, the end of an IPv6 address is taken for it.
        port = url.port or (443 if url.scheme == "https" else 80)
        proxy = self._proxy
        seconds = _shorter(_timeout(request, "connect"))
        connection = _Connection(*((proxy.host, proxy.port) if proxy else (host, port)), seconds)
        if proxy:
            connection.set_tunnel(host, port, proxy.headers)
        refused = httpx.ProxyError if proxy else httpx.ConnectError
        connected = False
        try:
            with _httpx_errors(request, refused, httpx.ConnectTimeout):
                connection.connect()
            if url.scheme == "https":
                if self._tls is None:
                    raise httpx.UnsupportedProtocol("This transport is for http", request=request)
                with _httpx_errors(request, httpx.ConnectError, httpx.ConnectTimeout):
                    connection.sock.settimeout(_shorter(_timeout(request, "connect")))
                    connection.sock = self._tls.wrap_socket(connection.sock, server_hostname=host)
            connected = True
        finally:
            if not connected:
                connection.close()
        return connection


def _timeout(request: httpx.Request, of: str) -> float | None:
    seconds: float | None = request.extensions.get("timeout", {}).get(of)
    return seconds


def _shorter(seconds: float | None) -> float | None:
    left = allowance()
    return seconds if left is None else left.shorter(seconds)


def _body(answer: http.client.HTTPResponse) -> bytes:
    left = allowance()
    if left is not None:
        left.check(answer.length or 0)
    # By pieces: `read` as a whole holds each chunk of a chunked answer as an object of its own.
    body = b"".join(iter(functools.partial(answer.read, _PIECE), b""))
    if answer.length:  # the end came early; by pieces, http.client doesn't say so
        raise http.client.IncompleteRead(b"", answer.length)
    return body


class _Answer(http.client.HTTPResponse):
    """An answer whose head and body are read within the allowance of the exchange."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        left = allowance()
        if left is not None:
            self.fp = io.BufferedReader(_AllowedReader(self.fp.detach(), sock, left))


class _Connection(http.client.HTTPConnection):
    response_class = _Answer


class _AllowedReader(io.RawIOBase):
    """Reads from a socket for no longer, and no more, than is allowed."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, left: Allowance) -> None:
        self._raw = raw  # what keeps the socket open
        self._sock = sock
        self._left = left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left, pause = self._left.seconds(), self._sock.gettimeout()
        if pause is None or left < pause:
            self._sock.settimeout(left)
        received: int | None = self._raw.readinto(buffer)
        self._left.take(received or 0)
        return received

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Idle:
    """Connections to one place that nobody uses; the one used last is the first to be used again.

    What each line does to the list is atomic: an interrupt can strike between any two.
    """

    def __init__(self) -> None:
        self._connections: list[tuple[float, http.client.HTTPConnection]] = []

    def put(self, connection: http.client.HTTPConnection) -> None:
        self._connections.append((time.monotonic(), connection))

    def take(self) -> http.client.HTTPConnection | None:
        """Return a connection that can be used, if there is one; close the others."""
        with suppress(IndexError):
            while True:
                since, connection = self._connections.pop()
                if time.monotonic() - since < _IDLE_SECONDS and _is_silent(connection.sock):
                    return connection
                connection.close()
        return None

    def close(self) -> None:
        with suppress(IndexError):
            while True:
                self._connections.pop()[1].close()


def _is_silent(sock: socket.socket) -> bool:
    """Return whether there is nothing to be read: nobody was asked anything, so it is the end."""
    decrypted = sock.pending() if isinstance(sock, ssl.SSLSocket) else 0
    return not decrypted and not multiprocessing.connection.wait([sock], 0)


class StraightClient(httpx.Client):
    """Hands each request to a transport and nothing else to it.

    The registry has no cookies, no redirects and no other authentication than two headers; what
    httpx's own client does about these at every page takes as long as to receive it.

    Args:
        transport: sends the requests.
    """

    def __init__(self, transport: httpx.BaseTransport) -> None:
        super().__init__(transport=transport, trust_env=False)
        self._straight = transport

    def send(self, request: httpx.Request, *, stream: bool = False, **_: Any) -> httpx.Response:
        """Send a request; httpx's other options are without effect."""
        response = self._straight.handle_request(request)
        response.request = request
        if not stream:
            response.read()
        return response


@contextmanager
def _httpx_errors(
    request: httpx.Request,
    broken: type[httpx.TransportError] = httpx.ReadError,
    late: type[httpx.TransportError] = httpx.ReadTimeout,
) -> "Iterator[None]":
    """Raise httpx's errors for the standard library's, without their words: these may hold data.

    The caller raises its own outside of any handler, so that these are chained to nothing shown.

    Args:
        request: what was asked.
        broken: raised for what the system says of the connection.
        late: raised for no answer in time.
    """
    kind: type[httpx.TransportError] | None = None
    try:
        yield
    except TimeoutError:
        kind = late
    except http.client.HTTPException:
        kind = httpx.RemoteProtocolError
    except OSError:
        kind = broken
    except (ValueError, OverflowError, MemoryError):  # a length below nothing, or beyond all memory
        kind = httpx.RemoteProtocolError
    if kind is not None:
        raise kind("The exchange failed.", request=request)
