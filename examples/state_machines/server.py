"""moto's server, which executes state machines and runs the demo's functions, on loopback."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_START_SECONDS = 60
_SETTINGS = {"stepfunctions": {"execute_state_machine": True}, "lambda": {"use_docker": False}}


@contextmanager
def running_server() -> Iterator[str]:
    """Run the server in a process of its own; give its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with tempfile.TemporaryFile() as log:
        command = [sys.executable, "-m", "examples.state_machines.server", port]
        environment = {**os.environ, **credentials(f"http://127.0.0.1:{port}"), "MOTO_PORT": port}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)  # noqa: S603 - our own
        try:
            _switch_on(f"http://127.0.0.1:{port}", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def credentials(url: str) -> dict[str, str]:
    """Return the variables by which AWS's own library finds the server."""
    return {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
    }


def _switch_on(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait for the server, and let it execute state machines: it would only take them otherwise."""
    end = time.monotonic() + _START_SECONDS
    while not _is_switched_on(url):
        if process.poll() is not None or time.monotonic() > end:
            raise TimeoutError("moto's server doesn't answer")
        time.sleep(0.1)


def _is_switched_on(url: str) -> bool:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(  # noqa: S310 - on loopback
        f"{url}/moto-api/config", json.dumps(_SETTINGS).encode(), headers
    )
    try:
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 - likewise
    except OSError:
        return False
    return True


def _serve(port: str) -> None:
    from moto.awslambda_simple.models import LambdaSimpleBackend
    from moto.server import main

    from examples.state_machines import functions

    def invoke(_backend: Any, function_name: str, _qualifier: Any, body: Any, *_: Any) -> str:
        name = function_name.rpartition(":")[2]
        return json.dumps(getattr(functions, name)(json.loads(body)))

    LambdaSimpleBackend.invoke = invoke  # moto's own puts out what it takes in
    main(["-H", "127.0.0.1", "-p", port])


if __name__ == "__main__":
    _serve(sys.argv[1])
