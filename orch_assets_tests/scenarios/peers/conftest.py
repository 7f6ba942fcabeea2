import os
from pathlib import Path

import pytest

_PEERS = Path(__file__).parents[3] / ".venv-peers" / "bin"


@pytest.fixture(scope="session")
def peers() -> Path:
    """The programs of the peers' environment; without it the tests are skipped, on CI they fail."""
    if not (_PEERS / "python").exists():
        reason = "No environment of the peers: make .venv-peers"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return _PEERS
