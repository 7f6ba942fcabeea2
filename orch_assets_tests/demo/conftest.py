from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from orch_assets.demo import DemoServer
from orch_assets_tests.imednet.conftest import no_settings

__all__ = ["no_settings"]  # also applies to these tests

API = "/api/v1/edc"


class Client:
    """A client of one server, with short calls for tests."""

    def __init__(self, server: DemoServer) -> None:
        # Nothing uses TLS here. Verification would read the certificates, which takes longer than a
        # test.
        self.http = httpx.Client(
            base_url=server.base_url + API, headers=server.headers, verify=False
        )

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.http.get(path, params=params)

    def ids(self, path: str, id_name: str, **params: Any) -> list[Any]:
        """Return the IDs of one page."""
        answer = self.get(path, **params)
        assert answer.status_code == 200, answer.text
        return [row[id_name] for row in answer.json()["data"]]

    def error(self, path: str, **params: Any) -> tuple[int, str, str]:
        """Return the HTTP status, the API's code and the attribute of an error."""
        answer = self.get(path, **params)
        error = answer.json()["metadata"]["error"]
        return answer.status_code, error["code"], error["field"]["attribute"]


@pytest.fixture(scope="package")
def steady() -> Iterator[DemoServer]:
    """A server that no test changes."""
    with DemoServer(studies=12, subjects=12) as server:
        yield server


@pytest.fixture
def server() -> Iterator[DemoServer]:
    """A server for one test."""
    with DemoServer(studies=2, subjects=6) as server:
        yield server


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client of the test's own server, or else of the shared one."""
    name = "server" if "server" in request.fixturenames else "steady"
    client = Client(request.getfixturevalue(name))
    yield client
    client.http.close()
