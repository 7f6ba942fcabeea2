"""A Redis server of its own, of Debian's package."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from orch_assets_tests.support.processes import free_port


@contextmanager
def redis_server(port: int | None = None) -> Iterator[str]:
    """Start a server that stores nothing on disk, on a loopback port; give its URL.

    Without the package the test is skipped, in CI it fails.
    """
    program = shutil.which("redis-server")
    if program is None:
        reason = "redis-server is not here (Debian's package of that name)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    port = port or free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            _await(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()


def _await(port: int) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < end, "Redis didn't start"
            time.sleep(0.05)
        else:
            return
