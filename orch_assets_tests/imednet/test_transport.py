"""The transport behaves like httpx's own."""

import gzip
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from orch_assets.imednet.connections import pool as transport
from orch_assets.imednet.connections.pool import StandardTransport, StraightClient
from orch_assets_tests.support.wire import certificate

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
# In one TLS record, with as much before the second answer as the client's buffer takes at once.
_MORE = (_OK + b"FIRST").ljust(8192) + _OK + b"OTHER"


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = gzip.compress(f"{self.path} {self.headers['x-key']}".encode())
        if self.path == "/late":
            time.sleep(0.5)
        if self.path == "/more":
            self.wfile.write(_MORE)
            return
        if self.path == "/early":
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n")
        if self.path == "/damaged":
            body = body[:10] + b"no gzip"
        self.send_response(302 if self.path == "/moved" else 200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Location", "/elsewhere")
        self.send_header("X-Port", str(self.client_address[1]))
        self.send_header("X-Twice", "one")
        self.send_header("X-Twice", "two")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = self.path == "/closing"  # and doesn't say so

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("path", ["/a%2Fb?filter=x%3D%3D1", "/moved"])
def test_an_answer_is_the_same_as_httpx_gives(echo: str, path: str) -> None:
    def ask(client: httpx.Client) -> tuple[Any, ...]:
        with client:
            request = client.build_request("GET", f"{echo}{path}", headers={"x-key": "k"})
            response = client.send(request, follow_redirects=False)
            told = [
                pair for pair in response.headers.multi_items() if pair[0] not in {"date", "x-port"}
            ]
            return response.status_code, response.text, sorted(told)

    httpxs = ask(httpx.Client())
    assert ask(httpx.Client(transport=StandardTransport())) == httpxs
    assert ask(StraightClient(StandardTransport())) == httpxs


def test_an_answer_that_cannot_be_unpacked_is_an_error_of_httpx(echo: str) -> None:
    with _client() as client, pytest.raises(httpx.DecodingError):
        client.send(client.build_request("GET", f"{echo}/damaged"))


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A server whose certificate is not trusted yet, and the certificate."""
    pem = str(certificate(tmp_path_factory.mktemp("tls")))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"https://127.0.0.1:{server.server_address[1]}", pem
        server.shutdown()


def test_an_untrusted_certificate_is_no_connection(tls: tuple[str, str]) -> None:
    url, pem = tls
    elsewhere = url.replace("127.0.0.1", "localhost")  # which the certificate isn't for
    for place, client in (
        (url, httpx.Client()),
        (url, _client()),
        (elsewhere, _client()),
        (elsewhere, _client(pem)),
    ):
        with client, pytest.raises(httpx.ConnectError) as caught:
            client.send(client.build_request("GET", f"{place}/?filter=planted"))
        assert "planted" not in str(caught.value)
    with _client(pem) as client:
        assert client.send(client.build_request("GET", url)).is_success


def _client(trusted: str | None = None) -> StraightClient:
    with pytest.MonkeyPatch.context() as patch:
        if trusted:
            patch.setenv("SSL_CERT_FILE", trusted)
        return StraightClient(StandardTransport())


@pytest.mark.parametrize("path", ["/early", "/more"])
def test_what_is_said_beside_an_answer_is_never_the_next_ones(
    path: str, echo: str, tls: tuple[str, str]
) -> None:
    for url, client in ((echo, _client()), (tls[0], _client(tls[1]))):
        with client, suppress(httpx.RemoteProtocolError):
            for asked in (path, "/second", "/third"):
                answer = client.send(client.build_request("GET", f"{url}{asked}"))
                assert asked == "/more" or answer.text == f"{asked} None"


def test_early_hints_are_no_answer(echo: str) -> None:
    with _client() as client, pytest.raises(httpx.RemoteProtocolError):
        client.send(client.build_request("GET", f"{echo}/early"))


@pytest.mark.parametrize(
    ("name", "value"), [("_IDLE_SECONDS", 0.0), ("os", SimpleNamespace(getpid=lambda: -1))]
)
def test_a_connection_that_may_be_dead_or_another_processs_is_not_used(
    name: str, value: Any, echo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _client() as client:

        def port() -> str:
            return client.send(client.build_request("GET", echo)).headers["x-port"]

        first = port()
        assert port() == first
        monkeypatch.setattr(transport, name, value)
        assert port() != first


def test_a_connection_is_used_again_unless_the_server_closed_it(echo: str) -> None:
    with _client() as client:

        def port_of(path: str) -> str:
            response = client.send(client.build_request("GET", f"{echo}{path}"))
            time.sleep(0.1)  # the end of a connection arrives
            return response.headers["x-port"]

        first = port_of("/")
        assert port_of("/closing") == first
        assert port_of("/") != first


def test_each_request_has_its_own_patience(echo: str) -> None:
    with _client() as client:

        def ask(path: str, seconds: float) -> httpx.Response:
            return client.send(client.build_request("GET", f"{echo}{path}", timeout=seconds))

        assert ask("/", 0.1).is_success
        assert ask("/late", 5).is_success
        with pytest.raises(httpx.ReadTimeout):
            ask("/late", 0.1)
        assert ask("/", 5).text == "/ None"  # and not the late answer


def test_as_many_connections_are_kept_as_were_used_at_once(echo: str) -> None:
    with _client() as client, ThreadPoolExecutor(3) as pool:

        def ask(_: int) -> str:
            return client.send(client.build_request("GET", f"{echo}/late")).headers["x-port"]

        assert len(set(pool.map(ask, range(9)))) == 3


def test_nothing_stays_open_behind_a_closed_client(echo: str) -> None:
    straight = StandardTransport()
    with StraightClient(straight) as client, ThreadPoolExecutor(1) as pool:
        client.send(client.build_request("GET", echo))
        late = pool.submit(client.send, client.build_request("GET", f"{echo}/late"))
        time.sleep(0.1)
        client.close()
        assert late.result().is_success
        assert not any(idle._connections for idle in straight._pools.values())
