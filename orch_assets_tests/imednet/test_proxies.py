"""Proxies between client and API: what passes them, and what is never logged."""

import base64
import ssl
import traceback
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets.demo import DemoServer
from orch_assets.errors import RegistryUnreachableError, SettingError
from orch_assets.imednet import ImednetSDK, RequestLimiter
from orch_assets.imednet.connections.proxies import Proxy, _read, proxy_for
from orch_assets_tests.imednet.talking import Talker
from orch_assets_tests.imednet.tunnels import TunnelProxy
from orch_assets_tests.support.wire import Wire, certificate

STUDY = "ONC-301"
REGISTRY = "https://edc.prod.imednetapi.com"
# A name that nothing resolves (RFC 6761): who reaches it, does so through the proxy.
NAME = "registry.test"
KINDS = ("http", "https", "all")
VARIABLES = [f"{kind}_proxy" for kind in KINDS] + [f"{kind}_proxy".upper() for kind in KINDS]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ssl.SSLContext]:
    """The TLS context of simulator and proxy; the clients trust its certificate."""
    pem = certificate(tmp_path_factory.mktemp("tls"), NAME)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(pem))
        yield context


@pytest.fixture
def encrypted(server: DemoServer, tls: ssl.SSLContext) -> Iterator[Wire]:
    with Wire(server.base_url, tls) as opened:
        yield opened


def open_sdk(server: DemoServer, base_url: str, **options: Any) -> ImednetSDK:
    options = {"sleep": lambda _: None, "limiter": RequestLimiter(4), "attempts": 2, **options}
    return ImednetSDK(server.api_key, server.security_key, base_url, **options)


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_registry_is_read_through_a_tunnel(
    scheme: str,
    variable: str,
    server: DemoServer,
    encrypted: Wire,
    tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The proxy receives the API's host name and its own password, and no key."""
    leads_to = urlsplit(encrypted.base_url).port or 0
    with TunnelProxy(leads_to, tls=tls if scheme == "https" else None) as proxy:
        user = quote("us/er", safe="")
        monkeypatch.setenv(variable, f"{scheme}://{user}:p%40ss@127.0.0.1:{proxy.port}")
        with open_sdk(server, f"https://{NAME}", page_size=4) as sdk:
            for _ in range(2):
                rows = sdk.subjects.table(STUDY).num_rows
                assert rows == len(server.registry.rows("subjects", STUDY)) > 8
        assert len(proxy.heads) <= 4  # as many connections as requests at once
        for head in proxy.heads:
            assert head.startswith(f"CONNECT {NAME}:443 HTTP/1.".encode())
            assert base64.b64encode(b"us/er:p@ss") in head
        seen = b"".join(proxy.heads + proxy.passed)
        assert server.api_key.encode() not in seen
        assert server.security_key.encode() not in seen


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_is_never_reached_through_a_proxy(
    host: str, server: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain http is allowed there, so a proxy would see the keys."""
    port = urlsplit(server.base_url).port or 0
    with TunnelProxy(port) as proxy:
        for variable in VARIABLES:
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        with open_sdk(server, f"http://{host}:{port}") as sdk:
            assert sdk.sites.table(STUDY).num_rows == len(server.registry.rows("sites", STUDY))
        assert proxy.heads == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost", "LOCALHOST"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_every_form_of_loopback_is_reached_directly(
    scheme: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in VARIABLES:
        monkeypatch.setenv(variable, "http://proxy.example:3128")
    assert proxy_for(f"{scheme}://{host}:8000") is None
    assert proxy_for("https://localhost.example") is not None


def test_a_host_of_no_proxy_is_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert proxy_for(REGISTRY) == Proxy("http", "proxy.example", 3128)
    for exceptions in ("imednetapi.com", "example.org, .imednetapi.com", "*"):
        monkeypatch.setenv("no_proxy", exceptions)
        assert proxy_for(REGISTRY) is None


def test_the_proxy_of_plain_http_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain http is allowed for loopback only, so a proxy for it is never used."""
    monkeypatch.setenv("HTTP_PROXY", "http://planted:planted/word@proxy.example")
    assert proxy_for(REGISTRY) is None


UNREADABLE = [
    "http://user:planted/word@proxy.example:3128",
    "http://user:12/planted@proxy.example:3128",
    "http://user:12#planted@proxy.example:3128",
    "http://user:planted?word@proxy.example:3128",
    "http://user:planted@proxy.example:port",
    "http://user:planted@proxy.example:99999",
    "http://user:planted@[::1",
    "http://user:planted@",
    "user:planted@proxy example",
    "ftp://user:planted@proxy.example",
    "http://user:planted@pröxy.example",
]


@pytest.mark.parametrize("text", UNREADABLE)
@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_an_unreadable_proxy_is_named_by_its_variable_alone(
    variable: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(SettingError, match="percent-encoded") as caught:
        ImednetSDK("k", "s", REGISTRY)
    assert caught.value.setting == variable
    shown = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    assert not [word for word in ("planted", "proxy.example") if word in shown]


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4", "SOCKS"])
def test_socks_is_named_as_not_supported(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://user:planted@proxy.example:1080")
    with pytest.raises(SettingError, match="ALL_PROXY names a SOCKS proxy, which is not") as caught:
        ImednetSDK("k", "s", REGISTRY)
    assert "planted" not in str(caught.value)


@given(st.text(max_size=30), st.text(max_size=30))
def test_percent_encoded_credentials_come_as_they_are(user: str, password: str) -> None:
    text = f"http://{quote(user, safe='')}:{quote(password, safe='')}@proxy.example"
    proxy = _read("HTTPS_PROXY", text)
    assert proxy == Proxy("http", "proxy.example", 80, (user, password))
    token = proxy.headers["Proxy-Authorization"].removeprefix("Basic ")
    assert base64.b64decode(token).decode() == f"{user}:{password}"
    assert repr(proxy) == "Proxy(scheme='http', host='proxy.example', port=80)"


@given(st.text() | st.from_regex(r"(http|socks5|\w+)://[^@]*@?\[?[\w.:/#?@-]*\]?"))
def test_any_text_is_a_proxy_or_our_error_that_quotes_none_of_it(text: str) -> None:
    caught: SettingError | None = None
    try:
        httpx.URL(_read("HTTPS_PROXY", f"planted{text}planted").url)
    except SettingError as error:
        caught = error
    assert caught is None or caught.__context__ is None
    assert "planted" not in str(caught)


REFUSALS = {
    "refused": b"HTTP/1.1 407 planted\r\nProxy-Authenticate: Basic planted\r\n\r\n",
    "forbidden": b"HTTP/1.1 403 planted\r\nContent-Length: 7\r\n\r\nplanted",
    "hung up": b"",
    "no HTTP": b"planted\r\n\r\n",
}


@pytest.mark.parametrize("refusal", [*REFUSALS, "nobody listens"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_gives_no_tunnel_is_no_answer_and_is_not_quoted(
    scheme: str,
    refusal: str,
    server: DemoServer,
    tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(0)
    says = REFUSALS.get(refusal, b"")
    with TunnelProxy(1, tls=tls if scheme == "https" else None, refusal=says) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://planted:planted@127.0.0.1:{proxy.port}")
        if refusal == "nobody listens":
            proxy.close()
        with (
            open_sdk(server, f"https://{NAME}") as sdk,
            pytest.raises(RegistryUnreachableError, match=NAME) as caught,
        ):
            list(sdk.studies.list())
        assert len(proxy.heads) == (0 if refusal == "nobody listens" else 2)
        if refusal in {"refused", "forbidden"}:
            assert "check the proxy that HTTPS_PROXY or ALL_PROXY names" in str(caught.value)
        shown = [
            str(caught.value),
            repr(vars(caught.value)),
            repr(caught.value.__context__),
            *(f"{record.getMessage()} {vars(record)}" for record in caplog.records),
        ]
        assert not [text for text in shown if "planted" in text or str(proxy.port) in text]


@pytest.mark.parametrize("tunnelled", [True, False], ids=["handshake", "tunnel"])
def test_a_slow_tunnel_is_given_up_in_its_time(
    tunnelled: bool, server: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer's time includes the proxy's own answer and everything behind it."""
    script = [b"HTTP/1.1 200 OK\r\n", *([b"\r\n"] if tunnelled else []), *[b"X: y\r\n"] * 500]
    with Talker(lambda: script, pause=0.02) as proxy:
        port = urlsplit(proxy.base_url).port
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with (
            open_sdk(server, f"https://{NAME}", answer_timeout=0.5, attempts=1) as sdk,
            pytest.raises(RegistryUnreachableError),
        ):
            list(sdk.studies.list())
        assert proxy.hung_up.wait(5)
