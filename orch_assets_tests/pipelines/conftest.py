from collections.abc import Iterator

import pytest

from orch_assets import ImednetSDK
from orch_assets.demo import DemoRegistry, DemoServer


@pytest.fixture(scope="package")
def server() -> Iterator[DemoServer]:
    """Three studies that nobody changes, and one in which nothing has happened yet."""
    registry = DemoRegistry(studies=3, subjects=12)
    registry.add_study("EMPTY-1", subjects=0)
    # So small a study may have no deleted subject of its own.
    for endpoint, row_id in (("subjects", "subjectId"), ("visits", "visitId")):
        first = registry.rows(endpoint, "ONC-301")[0]
        registry.update_row(endpoint, "ONC-301", first[row_id], deleted=True)
    with DemoServer(registry) as running:
        yield running


@pytest.fixture(scope="package")
def sdk(server: DemoServer) -> Iterator[ImednetSDK]:
    with ImednetSDK(server.api_key, server.security_key, server.base_url) as opened:
        yield opened
