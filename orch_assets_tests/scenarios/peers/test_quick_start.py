"""The quick start runs on our SDK and on the public package's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import orch_assets
from orch_assets.demo import DemoServer

_SCRIPT = Path(__file__).with_name("quick_start.py")


def run(python, client, server):
    env = {
        **os.environ,
        "PYTHONPATH": str(Path(orch_assets.__file__).parents[1]),
        "PYTHONIOENCODING": "utf-8",
        "IMEDNET_BASE_URL": server.base_url,
        "IMEDNET_API_KEY": server.api_key,
        "IMEDNET_SECURITY_KEY": server.security_key,
    }
    command = [str(python), str(_SCRIPT), client]
    return subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def server():
    with DemoServer(studies=12, subjects=8) as server:
        yield server


@pytest.fixture(scope="module")
def expected(server):
    keys = server.registry.study_keys()
    counts = {key: len(server.registry.rows("subjects", key)) for key in keys}
    return [f"{key}: {{'subject_count': {count}}}" for key, count in counts.items()]


def test_on_our_sdk(server, expected):
    done = run(sys.executable, "orch_assets", server)
    assert done.stdout.splitlines() == expected, done.stderr


@pytest.mark.peers
def test_on_the_public_packages_sdk(peers, server, expected):
    """In its own environment, where nothing is that this project depends on."""
    done = run(peers / "python", "imednet", server)
    assert sorted(done.stdout.splitlines()) == sorted(expected), done.stderr


@pytest.mark.peers
def test_the_orchestrator_imports_the_standard_library_alone(peers):
    script = (
        "import sys; before = set(sys.modules)\n"
        "import orch_assets.orchestration\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "new -= {*sys.stdlib_module_names, 'orch_assets'}\n"
        "print(sorted(name for name in new if not name.startswith('_sysconfigdata')))"
    )
    done = subprocess.run(
        [peers / "python", "-c", script],
        env={**os.environ, "PYTHONPATH": str(Path(orch_assets.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "[]\n", done.stderr
