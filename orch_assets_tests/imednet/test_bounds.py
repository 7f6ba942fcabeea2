"""Answers of any speed and size end in time, and take no more memory than allowed.

Each case runs over the transport that the SDK opens and over httpx's own, which a caller may bring.
"""

import functools
import gzip
import itertools
import ssl
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from orch_assets.demo import DemoServer, Fault
from orch_assets.errors import RegistryDataError, RegistryError, RegistryUnreachableError
from orch_assets.imednet import ImednetSDK, RequestLimiter
from orch_assets_tests.imednet.conftest import MakeSDK
from orch_assets_tests.imednet.talking import Script, SlowRelay, Talker, dripping
from orch_assets_tests.support.wire import certificate

STUDY = "ONC-301"
PAGE = b'{"metadata":{"status":"OK"},"pagination":{"currentPage":0,"totalElements":0},"data":[]}'
MB = 1_000_000
# As long as the slow ones would go on: longer than any of these tests may take.
SLOW_SECONDS = 20
PAUSE = 0.02
STEPS = int(SLOW_SECONDS / PAUSE)

HEAD = b"HTTP/1.1 200 OK\r\n"
JSON = HEAD + b"Content-Type: application/json\r\n"
CHUNKED = JSON + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(params=["ours", "httpx's"])
def client(request: pytest.FixtureRequest) -> Iterator[httpx.Client | None]:
    """None for the SDK's own transport; else a caller's client with httpx's transport."""
    if request.param == "ours":
        yield None
        return
    with httpx.Client() as opened:
        yield opened


def open_sdk(base_url: str, client: httpx.Client | None, **options: Any) -> ImednetSDK:
    options = {"sleep": lambda _: None, "limiter": RequestLimiter(1), "attempts": 2, **options}
    return ImednetSDK("key", "secret", base_url, client=client, **options)


# --- time ---

SLOW: dict[str, Script] = {
    "a head, byte by byte": dripping(HEAD + b"X-Name: " + b"x" * STEPS),
    "many headers, one by one": lambda: [HEAD, *(b"X-%d: y\r\n" % n for n in range(STEPS))],
    "no answer but that it goes on": lambda: [b"HTTP/1.1 100 Continue\r\n\r\n"] * STEPS,
    "a body, byte by byte": dripping(JSON + b"Content-Length: 9999\r\n\r\n" + b" " * STEPS),
    "a body without a length": dripping(JSON + b"\r\n" + b" " * STEPS),
    "chunks, one by one": lambda: [CHUNKED, *[b"1\r\n \r\n"] * STEPS],
    "what follows the last chunk": lambda: [CHUNKED + b"0\r\n", *[b"X: y\r\n"] * STEPS],
    "a packed body, byte by byte": dripping(
        JSON + b"Content-Encoding: gzip\r\nContent-Length: 9999\r\n\r\n" + gzip.compress(PAGE * 99)
    ),
}


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_answer_is_given_up_in_its_time_and_tried_again(
    name: str, client: httpx.Client | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No pause between two pieces is long, but the whole answer is limited."""
    monkeypatch.setenv("IMEDNET_ANSWER_TIMEOUT", "0.5")
    limiter = RequestLimiter(1)
    with Talker(SLOW[name], pause=PAUSE) as server:
        began = time.monotonic()
        with (
            open_sdk(server.base_url, client, limiter=limiter) as sdk,
            pytest.raises(RegistryUnreachableError, match="IMEDNET_ANSWER_TIMEOUT"),
        ):
            sdk.sites.table(STUDY)
        assert 1.0 <= time.monotonic() - began < SLOW_SECONDS / 2
        assert len(server.requests) == 2
        assert limiter.in_flight == 0
        assert server.hung_up.wait(5)  # the connections are gone, too


def test_early_hints_without_end_are_given_up(
    client: httpx.Client | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit holds without any pause, too."""
    monkeypatch.setenv("IMEDNET_ANSWER_TIMEOUT", "0.5")

    def hints() -> Iterable[bytes]:
        end = time.monotonic() + SLOW_SECONDS
        return itertools.takewhile(
            lambda _: time.monotonic() < end,
            itertools.repeat(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"),
        )

    with (
        Talker(hints) as server,
        open_sdk(server.base_url, client, attempts=1) as sdk,
    ):
        began = time.monotonic()
        with pytest.raises(RegistryUnreachableError):
            sdk.sites.table(STUDY)
        assert time.monotonic() - began < SLOW_SECONDS / 2


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ssl.SSLContext]:
    """The server's TLS context; the clients trust its certificate."""
    pem = certificate(tmp_path_factory.mktemp("tls"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(pem))
        yield context


@pytest.mark.parametrize("handshake", [True, False], ids=["handshake", "answer"])
def test_slow_tls_is_given_up_in_its_time(
    handshake: bool, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handshake counts, and so does an answer in slow TLS records."""
    monkeypatch.setenv("IMEDNET_ANSWER_TIMEOUT", "0.5")
    answer = JSON + b"Content-Length: %d\r\n\r\n" % len(PAGE) + PAGE
    script, pause = (lambda: [answer], 0.0) if handshake else (dripping(answer), 0.1)
    for bring in (False, True):
        with (
            Talker(script, pause=pause, tls=tls) as server,
            SlowRelay(server.base_url, 0.1 if handshake else 0.0) as relay,
            httpx.Client() as own,
            open_sdk(relay.base_url, own if bring else None, timeout=1) as sdk,
        ):
            began = time.monotonic()
            with pytest.raises(RegistryUnreachableError, match="IMEDNET_ANSWER_TIMEOUT"):
                sdk.sites.table(STUDY)
            assert 1.0 <= time.monotonic() - began < SLOW_SECONDS / 4
            assert relay.connections == 2


def test_a_connection_that_is_used_again_is_bounded_too(
    client: httpx.Client | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each exchange has its own limit; the time of earlier ones doesn't count."""
    monkeypatch.setenv("IMEDNET_ANSWER_TIMEOUT", "1")
    good = [JSON + b"Content-Length: %d\r\n\r\n" % len(PAGE) + PAGE]
    slow = SLOW["a head, byte by byte"]
    scripts = iter([good, good, good, slow()])
    with (
        Talker(lambda: next(scripts), pause=PAUSE) as server,
        open_sdk(server.base_url, client, attempts=1) as sdk,
    ):
        for _ in range(3):
            time.sleep(0.4)
            assert sdk.sites.table(STUDY).num_rows == 0
        with pytest.raises(RegistryUnreachableError, match="IMEDNET_ANSWER_TIMEOUT"):
            sdk.sites.table(STUDY)
        assert len(server.requests) == 4


def test_an_answer_that_is_slow_once_costs_no_row(
    server: DemoServer, make_sdk: MakeSDK, client: httpx.Client | None
) -> None:
    sdk = make_sdk(server, client=client, answer_timeout=0.5)
    server.faults.add(Fault("delay", seconds=1.0, times=1))
    assert sdk.sites.table(STUDY).num_rows == len(server.registry.rows("sites", STUDY))


# --- size ---


def page(size: int) -> bytes:
    """Return a page of that size without rows, filled with blanks."""
    return PAGE[:-2].ljust(size - 2) + PAGE[-2:]


@functools.cache
def packed(size: int, times: int = 1) -> bytes:
    """Return an answer with a page of that size, compressed so many times."""
    body = page(size)
    for _ in range(times):
        body = gzip.compress(body, 1)
    encoding = b", ".join([b"gzip"] * times)
    head = b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (encoding, len(body))
    return JSON + head + body


def endless(head: bytes, piece: bytes, size: int = 200 * MB) -> Script:
    return lambda: itertools.chain([head], itertools.repeat(piece, size // len(piece)))


# What each would need is a hundred times what is allowed here.
LARGE: dict[str, Script] = {
    "unpacked": lambda: [packed(100 * MB)],
    "unpacked twice": lambda: [packed(100 * MB, 2)],
    "a body without an end": endless(JSON + b"\r\n", b" " * 65536),
    "chunks without an end": endless(CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n"),
    "small chunks without an end": endless(CHUNKED, (b"20\r\n" + b" " * 32 + b"\r\n") * 999),
    "a large length": endless(JSON + b"Content-Length: 200000000\r\n\r\n", b" " * 65536),
    "a packed body without an end": endless(
        JSON + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"", 0) * 2000
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_answer_is_refused_before_it_fills_the_memory(
    name: str, client: httpx.Client | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is requested once, and only its study fails."""
    monkeypatch.setenv("IMEDNET_MAX_ANSWER_MB", "1")
    LARGE[name]()  # what is packed is packed before it is measured
    with Talker(LARGE[name]) as server, open_sdk(server.base_url, client) as sdk:
        error, added = failure_and_added_memory(sdk)
        assert type(error) is RegistryDataError
        assert "more than 1 MB" in str(error)
        assert "IMEDNET_MAX_ANSWER_MB" in str(error)
        assert (error.study_key, error.page) == (STUDY, 0)
        assert added < 20 * MB
        assert len(server.requests) == 1


HEADS: dict[str, Script] = {
    "headers without an end": endless(HEAD, b"X-Name: %s\r\n" % (b"x" * 1000)),
    "a header without an end": endless(HEAD + b"X-Name: ", b"x" * 65536),
    "a status without an end": endless(b"HTTP/1.1 200 ", b"x" * 65536),
    "trailers without an end": endless(CHUNKED + b"0\r\n", b"X-Name: %s\r\n" % (b"x" * 1000)),
    "a chunk's size without an end": endless(CHUNKED, b"0" * 65536),
    "a chunk of no number": endless(CHUNKED + b"-1\r\n", b" " * 65536),
    "packed too often": lambda: [packed(100, 40)],
}


@pytest.mark.parametrize("name", HEADS)
def test_a_large_frame_does_not_fill_the_memory_either(
    name: str, client: httpx.Client | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMEDNET_MAX_ANSWER_MB", "1")
    with Talker(HEADS[name]) as server, open_sdk(server.base_url, client) as sdk:
        error, added = failure_and_added_memory(sdk)
        assert type(error) in {RegistryUnreachableError, RegistryDataError}
        assert added < 20 * MB


def failure_and_added_memory(sdk: ImednetSDK) -> tuple[RegistryError, int]:
    """Read a table; return the error, and the largest growth of the process in bytes."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory("VmRSS")
    with pytest.raises(RegistryError) as caught:
        sdk.sites.table(STUDY)
    return caught.value, memory("VmHWM") - before


def memory(of: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(of))


@pytest.mark.parametrize("size", [MB, MB + 1])
@pytest.mark.parametrize("times", [0, 1, 2])
def test_the_limit_is_of_the_unpacked_body_to_the_byte(
    times: int, size: int, client: httpx.Client | None
) -> None:
    body = page(size)
    plain = JSON + b"Content-Length: %d\r\n\r\n" % size + body
    answer = packed(size, times) if times else plain
    with Talker(lambda: [answer]) as server:
        sdk = open_sdk(server.base_url, client, max_answer_mb=1)
        with sdk:
            if size == MB:
                assert sdk.sites.table(STUDY).num_rows == 0
            else:
                with pytest.raises(RegistryDataError, match="more than 1 MB"):
                    sdk.sites.table(STUDY)


@pytest.mark.parametrize("cut", [1, 8, 20])
def test_a_packed_answer_without_its_end_is_no_answer(
    cut: int, client: httpx.Client | None
) -> None:
    body = gzip.compress(PAGE)[:-cut]
    head = JSON + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    with (
        Talker(lambda: [head + body]) as server,
        open_sdk(server.base_url, client) as sdk,
        pytest.raises(RegistryUnreachableError, match="DecodingError"),
    ):
        sdk.sites.table(STUDY)
    assert len(server.requests) == 2


def test_an_answer_that_a_callers_client_has_read_already_is_bounded_too() -> None:
    """By an event hook, or because its transport makes up its answers."""
    sizes = iter([MB, MB + 1])

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=page(next(sizes)))

    hooks: Any = {"response": [lambda response: response.read()]}
    for options in ({"transport": httpx.MockTransport(answer)}, {"event_hooks": hooks}):
        sizes = iter([MB, MB + 1])
        bodies = iter([page(MB), page(MB + 1)])

        def script(bodies: Iterator[bytes] = bodies) -> Iterable[bytes]:
            body = next(bodies)
            return [JSON + b"Content-Length: %d\r\n\r\n" % len(body) + body]

        with (
            Talker(script) as server,
            httpx.Client(**options) as own,
            open_sdk(server.base_url, own, max_answer_mb=1) as sdk,
        ):
            assert sdk.sites.table(STUDY).num_rows == 0
            with pytest.raises(RegistryDataError, match="more than 1 MB"):
                sdk.sites.table(STUDY)


def test_talkers_stop_with_the_test() -> None:
    with Talker(lambda: [b""]) as server:
        assert isinstance(server, Talker)
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.base_url)
