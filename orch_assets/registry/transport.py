"""Requests sent by urllib3, under httpx's interface.

A page of 500 records is a third of a megabyte. To receive one, httpx's own transport takes two to
three times the CPU that urllib3 does (h11 is Python), which is what bounds a window of many pages.
Certificates are checked as httpx checks them. Where a proxy is configured, httpx's own is used.
"""

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

    import urllib3


def transport_for(base_url: str, connections: int) -> httpx.BaseTransport | None:
    """Return the transport for a registry; None where a proxy is between, for httpx's own.

    Args:
        base_url: the registry's.
        connections: kept open for the requests to come.
    """
    url = httpx.URL(base_url)
    proxies = getproxies()
    if (url.scheme in proxies or "all" in proxies) and not proxy_bypass(url.host):
        return None
    return Urllib3Transport(connections)


class Urllib3Transport(httpx.BaseTransport):
    """Sends requests over urllib3's connections; raises httpx's errors. Safe from many threads.

    Args:
        connections: kept open to a host.
    """

    def __init__(self, connections: int) -> None:
        import urllib3

        self._pools = urllib3.PoolManager(
            maxsize=connections,
            ssl_context=httpx.create_ssl_context(),
            retries=urllib3.Retry(total=False, redirect=False),  # ours come from another layer
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and receive the whole answer."""
        import urllib3

        seconds = request.extensions.get("timeout", {})
        url = request.url
        with _httpx_errors(request):
            pool = self._pools.connection_from_host(url.host, url.port, url.scheme)
            answer = pool.urlopen(
                request.method,
                url.raw_path.decode("ascii"),
                body=request.read() or None,
                headers=dict(request.headers),
                timeout=urllib3.Timeout(connect=seconds.get("connect"), read=seconds.get("read")),
                redirect=False,
                decode_content=False,  # httpx does that, by the headers
            )
        # As the bytes that they were: httpx refuses text that is not ASCII, and quotes it.
        headers = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in answer.headers.items()
        ]
        return httpx.Response(answer.status, headers=headers, stream=_Body(answer))

    def close(self) -> None:
        """Close the connections."""
        self._pools.clear()


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

    def __init__(self, answer: "urllib3.BaseHTTPResponse") -> None:
        self._answer = answer

    def __iter__(self) -> "Iterator[bytes]":
        yield self._answer.data


@contextmanager
def _httpx_errors(request: httpx.Request) -> "Iterator[None]":
    """Raise httpx's errors for urllib3's, without their words: these may hold the URL.

    The caller raises its own outside of any handler, so that these are chained to nothing shown.
    """
    from urllib3 import exceptions

    kind: type[httpx.TransportError] | None = None
    try:
        yield
    except (exceptions.NewConnectionError, exceptions.SSLError):
        kind = httpx.ConnectError
    except exceptions.ConnectTimeoutError:
        kind = httpx.ConnectTimeout
    except exceptions.TimeoutError:
        kind = httpx.ReadTimeout
    # http.client lets out the last three: of a length below nothing, or beyond all memory.
    except (exceptions.ProtocolError, ValueError, OverflowError, MemoryError):
        kind = httpx.RemoteProtocolError
    except exceptions.HTTPError:
        kind = httpx.NetworkError
    if kind is not None:
        raise kind("The exchange failed.", request=request)
