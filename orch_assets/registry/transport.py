"""Requests sent by the standard library's client, under httpx's interface.

A page of 500 records is a third of a megabyte. To receive one, httpx's own transport takes two to
three times the CPU that ``http.client`` does (h11 is Python), which is what bounds a window of many
pages. Certificates are checked as httpx checks them. Where a proxy is configured, httpx's own
transport is used.
"""

import http.client
import multiprocessing.connection
import os
import socket
import ssl
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.request import getproxies, proxy_bypass

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

# A gateway forgets an idle connection without a word; httpx, too, uses none again after 5 s.
_IDLE_SECONDS: Final = 5.0
_FIRST_FINAL: Final = 200

_Place: TypeAlias = tuple[int, str, bytes, int | None]  # process, scheme, host, port


def transport_for(base_url: str) -> httpx.BaseTransport | None:
    """Return the transport for a registry; None where a proxy is between, for httpx's own."""
    url = httpx.URL(base_url)
    proxies = getproxies()
    if (url.scheme in proxies or "all" in proxies) and not proxy_bypass(url.host):
        return None
    return StandardTransport()


class StandardTransport(httpx.BaseTransport):
    """Sends requests by ``http.client``; raises httpx's errors. Safe from many threads.

    Keeps as many connections as there were requests at once.
    """

    def __init__(self) -> None:
        self._tls = httpx.create_ssl_context()
        self._tls.set_alpn_protocols(["http/1.1"])
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
                connection.sock.settimeout(request.extensions.get("timeout", {}).get("read"))
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
                    body = answer.read()
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

    def _connected(self, request: httpx.Request) -> http.client.HTTPConnection:
        url = request.url
        host = url.raw_host.decode("ascii")
        timeout = request.extensions.get("timeout", {}).get("connect")
        # The port always: without one, the end of an IPv6 address is taken for it.
        connection = (
            http.client.HTTPSConnection(host, url.port or 443, timeout=timeout, context=self._tls)
            if url.scheme == "https"
            else http.client.HTTPConnection(host, url.port or 80, timeout=timeout)
        )
        with _httpx_errors(request, httpx.ConnectError, httpx.ConnectTimeout):
            connection.connect()
        return connection


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

    def send(self, request: httpx.Request, **_: Any) -> httpx.Response:
        """Send a request and read the whole answer; httpx's options are without effect."""
        response = self._straight.handle_request(request)
        response.request = request
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
