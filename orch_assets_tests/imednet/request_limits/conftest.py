"""The places where slots may lie, each with a server of its own."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orch_assets.imednet import RequestLimiter
from orch_assets.imednet.request_limits import FileSlots
from orch_assets.imednet.request_limits.slot_division import SlotDivision
from orch_assets.imednet.request_limits.slot_places import SlotPlace
from orch_assets_tests.defs.postgres import postgres_server
from orch_assets_tests.support.redis_servers import redis_server

ACCOUNT = "ab" * 8
MAXIMUM = 8
PLACES = ["files", "postgres", "redis"]

Share = Callable[..., RequestLimiter]


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with postgres_server() as server:
        yield f"postgresql://{server['username']}@127.0.0.1:{server['port']}/postgres"


@pytest.fixture
def place_text(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The folder, or the URL of the server, that a test's parameter names."""
    if request.param == "files":
        return str(tmp_path)
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


def until(condition: Callable[[], object], seconds: float = 30) -> float:
    """Wait for a condition; return the seconds that it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.005)
    return time.monotonic() - began


@pytest.fixture
def share(tmp_path: Path) -> Iterator[Share]:
    """Makes a limiter of one more process of the account."""
    divisions = []

    def make(place: SlotPlace | None = None, maximum: int = MAXIMUM) -> RequestLimiter:
        limiter = RequestLimiter(maximum)
        divisions.append(SlotDivision(limiter, place or FileSlots(tmp_path), ACCOUNT))
        return limiter

    yield make
    for division in divisions:
        division.close()
