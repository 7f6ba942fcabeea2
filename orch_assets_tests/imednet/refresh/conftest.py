from collections.abc import Iterator
from typing import Any

import pytest

from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets_tests.imednet.conftest import MakeSDK
from orch_assets_tests.imednet.refresh.stored import Refresher

STUDY = "S"
PAGE = 20


class Account:
    """A simulated account with one study whose larger tables have several pages."""

    def __init__(self, make_sdk: MakeSDK, server: DemoServer) -> None:
        self.server = server
        self.registry = server.registry
        self._make_sdk = make_sdk

    def refresher(self, **options: Any) -> Refresher:
        """Return what refreshes the study's tables, by a client of its own."""
        options = {"page_size": PAGE, "registry_name": "demo", **options}
        sdk = self._make_sdk(self.server, **options)
        return Refresher(sdk, STUDY, self._make_sdk(self.server))

    def requests(self) -> list[str]:
        """Return the requests for rows since the last call; those of the dictionary not."""
        found = [
            f"{'changed ' if each.filtered else ''}{each.endpoint}{' count' * (each.size == 1)}"
            for each in self.server.traffic.log
            if each.endpoint not in {"variables", "intervals", "studies"}
        ]
        self.server.traffic.clear()
        return found


@pytest.fixture
def account(make_sdk: MakeSDK) -> Iterator[Account]:
    registry = DemoRegistry(studies=1, subjects=1)
    registry.add_study(STUDY, subjects=4)
    with DemoServer(registry) as server:
        yield Account(make_sdk, server)
