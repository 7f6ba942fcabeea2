import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings

from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.imednet import ImednetSDK, RequestLimiter

MakeSDK = Callable[..., ImednetSDK]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("API_KEY", "SECURITY_KEY", "BASE_URL", "TIMEOUT", "MAX_REQUESTS")
    for name in (*names, "ANSWER_TIMEOUT", "MAX_ANSWER_MB"):
        monkeypatch.delenv(f"IMEDNET_{name}", raising=False)


@pytest.fixture(scope="session")
def shared_server() -> Iterator[DemoServer]:
    with DemoServer(studies=3, subjects=12) as server:
        yield server


@pytest.fixture
def server(shared_server: DemoServer) -> Iterator[DemoServer]:
    """A simulator whose data no test changes; its faults are cleared after each test."""
    shared_server.traffic.clear()
    yield shared_server
    shared_server.faults.clear()
    shared_server.traffic.limit = shared_server.traffic.retry_after = None


@pytest.fixture
def busy_server() -> Iterator[DemoServer]:
    """A simulator of its own for this test, whose data may change during a reading."""
    with DemoServer(DemoRegistry(studies=1, subjects=30)) as server:
        yield server


@pytest.fixture
def make_sdk() -> Iterator[MakeSDK]:
    """Opens clients of a server that don't wait between attempts, and closes them."""
    opened: list[tuple[ImednetSDK, RequestLimiter]] = []

    def make(server: DemoServer, **options: Any) -> ImednetSDK:
        options = {"sleep": lambda _: None, "limiter": RequestLimiter(8), **options}
        sdk = ImednetSDK(server.api_key, server.security_key, server.base_url, **options)
        opened.append((sdk, options["limiter"]))
        return sdk

    yield make
    for sdk, limiter in opened:
        sdk.close()
        # A page that was fetched ahead and given up may still be asked for; the next test counts
        # requests of its own.
        end = time.monotonic() + 10
        while limiter.in_flight and time.monotonic() < end:
            time.sleep(0.001)


# The machines that run this are slow and shared; an example that is slow once is no failure.
settings.register_profile("registry", deadline=None)
settings.load_profile("registry")
