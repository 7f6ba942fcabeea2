"""An httpx transport that sends requests by the standard library's ``http.client``.

A page of 500 records is a third of a megabyte. To receive one, httpx's own transport takes two to
three times as much CPU as ``http.client`` (h11 is written in Python), which limits a window of many
pages. Certificates are checked as httpx checks them. Proxies are used by a CONNECT tunnel; a proxy
that is itself reached by TLS is left to httpx's own transport.
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

# A gateway drops an idle connection silently; httpx doesn't reuse one after 5 s either.
_IDLE_SECONDS: Final = 5.0
_FIRST_FINAL: Final = 200
_PIECE: Final = 1 << 20
_CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # the variables that httpx reads

_Address: TypeAlias = tuple[int, str, bytes, int | None]  # process, scheme, host, port


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

    Keeps as many idle connections as there were concurrent requests.

    Args:
        proxy: A proxy that supports tunnels; None connects directly.
        https: False refuses requests by TLS, and avoids reading the certificates, which takes as
            long as tens of requests to a simulator on this machine.

    Raises:
        SettingError: The environment names certificates that can't be read.
    """

    def __init__(self, proxy: "Proxy | None" = None, *, https: bool = True) -> None:
        self._proxy = proxy
        self._tls = _tls_context() if https else None
        self._closed = False
        self._pools: dict[_Address, _IdleConnections] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and receive the whole answer."""
        url = request.url
        # By process: over a connection copied by a fork, one process would get the other's answers.
        address = (os.getpid(), url.scheme, url.raw_host, url.port)
        idle = self._pools.setdefault(address, _IdleConnections())
        connection = idle.take() or self._connected(request)
        reusable = False
        try:
            with _httpx_errors(request):
                connection.sock.settimeout(_shorter(_timeout(request, "read")))
                connection.request(
                    request.method,
                    url.raw_path.decode("ascii"),
                    body=request.read() or None,
                    headers=dict(request.headers.items()),
                )
                # Closed explicitly: the last answer of a connection keeps its socket open.
                with connection.getresponse() as answer:
                    # The final answer that it announces would be taken for the next request's.
                    if answer.status < _FIRST_FINAL:
                        raise http.client.UnknownProtocol(str(answer.status))
                    body = _body(answer)
            reusable = not answer.will_close
        finally:
            if reusable:
                idle.put(connection)
            else:
                connection.close()
            if self._closed:
                idle.close()
        # As the original bytes: httpx refuses non-ASCII text, and quotes it in its error.
        headers = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in answer.headers.raw_items()
        ]
        return httpx.Response(answer.status, headers=headers, stream=httpx.ByteStream(body))

    def close(self) -> None:
        """Close the idle connections now, and the others when they have received their answers."""
        self._closed = True
        for idle in list(self._pools.values()):
            idle.close()

    def _connected(self, request: httpx.Request) -> "_Connection":
        url = request.url
        host = url.raw_host.decode("ascii")
        # Always with the port: otherwise the end of an IPv6 address is taken for one.
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
    remaining = allowance()
    return seconds if remaining is None else remaining.shorter(seconds)


def _body(answer: http.client.HTTPResponse) -> bytes:
    remaining = allowance()
    if remaining is not None:
        remaining.check(answer.length or 0)
    # In pieces: one `read` of it all keeps each chunk of a chunked answer as a separate object.
    body = b"".join(iter(functools.partial(answer.read, _PIECE), b""))
    if answer.length:  # the answer was cut; when read in pieces, http.client doesn't report it
        raise http.client.IncompleteRead(b"", answer.length)
    return body


class _Answer(http.client.HTTPResponse):
    """An answer whose header and body are read within the allowance of the exchange."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        remaining = allowance()
        if remaining is not None:
            self.fp = io.BufferedReader(_LimitedReader(self.fp.detach(), sock, remaining))


class _Connection(http.client.HTTPConnection):
    response_class = _Answer


class _LimitedReader(io.RawIOBase):
    """Reads from a socket within an allowance."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, remaining: Allowance) -> None:
        self._raw = raw  # keeps the socket open
        self._sock = sock
        self._remaining = remaining

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        seconds, timeout = self._remaining.seconds(), self._sock.gettimeout()
        if timeout is None or seconds < timeout:
            self._sock.settimeout(seconds)
        # Not by `_raw`, which adds Python code to each read: TLS takes twenty reads for a page.
        received = self._sock.recv_into(buffer)
        self._remaining.take(received)
        return received

    def close(self) -> None:
        self._raw.close()
        super().close()


class _IdleConnections:
    """Idle connections to one address; the one used last is reused first.

    Each line changes the list atomically: an interrupt can occur between any two lines.
    """

    def __init__(self) -> None:
        self._connections: list[tuple[float, http.client.HTTPConnection]] = []

    def put(self, connection: http.client.HTTPConnection) -> None:
        self._connections.append((time.monotonic(), connection))

    def take(self) -> http.client.HTTPConnection | None:
        """Return a usable connection, closing unusable ones; None if there is none."""
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
    """Return whether nothing can be read: on an idle connection, that would be its end."""
    decrypted = sock.pending() if isinstance(sock, ssl.SSLSocket) else 0
    return not decrypted and not multiprocessing.connection.wait([sock], 0)


class StraightClient(httpx.Client):
    """Passes each request straight to a transport.

    The API has no cookies, no redirects and no authentication beyond two headers. The code of
    httpx's own client for these takes as long, for every page, as receiving the page.

    Args:
        transport: Sends the requests.
    """

    def __init__(self, transport: httpx.BaseTransport) -> None:
        super().__init__(transport=transport, trust_env=False)
        self._straight = transport

    def send(self, request: httpx.Request, *, stream: bool = False, **_: Any) -> httpx.Response:
        """Send a request; httpx's other options have no effect."""
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
    """Raise httpx's errors for the standard library's, without their messages: these may hold data.

    They are chained to the standard library's errors. `RegistryHttp` drops them all: it raises its
    own error outside of the handler.

    Args:
        request: The request, for the error.
        broken: The error for a failure of the connection.
        late: The error for a timeout.
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
    except (ValueError, OverflowError, MemoryError):  # a negative length, or one beyond all memory
        kind = httpx.RemoteProtocolError
    if kind is not None:
        raise kind("The exchange failed.", request=request)
