"""Requests sent by the standard library's client, under httpx's interface.

A page of 500 records is a third of a megabyte. To receive one, httpx's own transport takes two to
three times the CPU that ``http.client`` does (h11 is Python), which is what bounds a window of many
pages. Certificates are checked as httpx checks them. Where a proxy is configured, httpx's own
transport is used.
"""

import http.client
import multiprocessing.connection
from collections import defaultdict, deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator


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
        self._idle: defaultdict[tuple[str, str, int | None], deque[http.client.HTTPConnection]]
        self._idle = defaultdict(deque)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and receive the whole answer."""
        url = request.url
        idle = self._idle[url.scheme, url.raw_host.decode("ascii"), url.port]
        connection = _usable(idle) or self._connected(request)
        whole = False
        try:
            with _httpx_errors(request):
                connection.sock.settimeout(request.extensions.get("timeout", {}).get("read"))
                connection.request(
                    request.method,
                    url.raw_path.decode("ascii"),
                    body=request.read() or None,
                    headers=dict(request.headers),
                )
                answer = connection.getresponse()
                body = answer.read()
            whole = True
        finally:
            if whole and not (answer.will_close or self._closed):
                idle.append(connection)
            else:
                connection.close()
        # As the bytes that they were: httpx refuses text that is not ASCII, and quotes it.
        headers = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in answer.headers.items()
        ]
        return httpx.Response(answer.status, headers=headers, stream=_Body(body))

    def close(self) -> None:
        """Close the connections that nobody uses; the others, when they have their answers."""
        self._closed = True
        for idle in self._idle.values():
            while idle:
                idle.pop().close()

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


def _usable(idle: "deque[http.client.HTTPConnection]") -> http.client.HTTPConnection | None:
    """Return the connection used last that the server has not closed since, if there is one."""
    while idle:
        try:
            connection = idle.pop()
        except IndexError:  # another thread was quicker
            return None
        # Nobody has been asked anything, so what can be read is the end.
        if not multiprocessing.connection.wait([connection.sock], 0):
            return connection
        connection.close()
    return None


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


class _Body(httpx.SyncByteStream):
    """The bytes of an answer, which have all arrived."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> "Iterator[bytes]":
        yield self._body


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
    # The last three are of a length below nothing, or beyond all memory.
    except (http.client.HTTPException, ValueError, OverflowError, MemoryError):
        kind = httpx.RemoteProtocolError
    except OSError:
        kind = broken
    if kind is not None:
        raise kind("The exchange failed.", request=request)
