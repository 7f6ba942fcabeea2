"""The transport under httpx's interface: what httpx's own does, it does too."""

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from orch_assets.registry.transport import StraightClient, Urllib3Transport, transport_for

REGISTRY = "https://edc.prod.imednetapi.com"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "all_proxy"])
def test_a_proxy_is_left_to_httpx(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert isinstance(transport_for(REGISTRY, 8), Urllib3Transport)
    monkeypatch.setenv(name, "http://proxy.example:3128")
    assert transport_for(REGISTRY, 8) is None


def test_a_host_that_needs_no_proxy_needs_no_httpx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "imednetapi.com")
    assert isinstance(transport_for(REGISTRY, 8), Urllib3Transport)


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = gzip.compress(f"{self.path} {self.headers['x-key']}".encode())
        if self.path == "/damaged":
            body = body[:10] + b"no gzip"
        self.send_response(302 if self.path == "/moved" else 200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Location", "/elsewhere")
        self.send_header("X-Twice", "one")
        self.send_header("X-Twice", "two")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("path", ["/a%2Fb?filter=x%3D%3D1", "/moved"])
def test_an_answer_is_the_same_as_httpx_gives(echo: str, path: str) -> None:
    def ask(client: httpx.Client) -> tuple[Any, ...]:
        with client:
            request = client.build_request("GET", f"{echo}{path}", headers={"x-key": "k"})
            response = client.send(request, follow_redirects=False)
            told = [pair for pair in response.headers.multi_items() if pair[0] != "date"]
            return response.status_code, response.text, sorted(told)

    httpxs = ask(httpx.Client())
    assert ask(httpx.Client(transport=Urllib3Transport(2))) == httpxs
    assert ask(StraightClient(Urllib3Transport(2))) == httpxs


def test_an_answer_that_cannot_be_unpacked_is_an_error_of_httpx(echo: str) -> None:
    with StraightClient(Urllib3Transport(1)) as client, pytest.raises(httpx.DecodingError):
        client.send(client.build_request("GET", f"{echo}/damaged"))


def test_an_untrusted_certificate_is_no_connection(echo: str) -> None:
    with (
        httpx.Client(transport=Urllib3Transport(1)) as client,
        pytest.raises(httpx.TransportError) as caught,
    ):
        client.get(echo.replace("http:", "https:") + "/?filter=planted")
    assert "planted" not in str(caught.value)
