from collections.abc import Iterator

import pytest

from orch_assets_tests.support.state_machine_servers import Server, step_functions_server


@pytest.fixture(scope="session")
def states_server() -> Iterator[Server]:
    with step_functions_server() as running:
        yield running


@pytest.fixture
def aws(states_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that executes state machines, and credentials for it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret-key")
    return states_server
