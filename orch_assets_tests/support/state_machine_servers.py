"""Step Functions on this machine: moto's server, with its interpreter switched on."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orch_assets.clouds import botocore_session
from orch_assets_tests.step_functions.jsonata_engine import NODE
from orch_assets_tests.support.cloud_servers import free_port

HAS_LAMBDA = importlib.util.find_spec("awslambdaric") is not None
HAS_JSONATA = (NODE / "node_modules" / "jsonata").exists()


class Server:
    """A running server.

    Args:
        url: on loopback.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self, service: str) -> Any:
        """Return a boto3 client of it."""
        import boto3
        from botocore.config import Config

        session = boto3.session.Session(
            "testing", "testing", region_name="us-east-1", botocore_session=botocore_session()
        )
        config = Config(inject_host_prefix=False)  # of StartSyncExecution: there is one host only
        return session.client(service, endpoint_url=self.url, config=config)


@contextmanager
def step_functions_server() -> Iterator[Server]:
    """Run moto's server on a free loopback port."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "orch_assets_tests.step_functions.moto_with_jsonata",
        str(port),
    ]
    with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("wb") as log:
        environment = {**os.environ, "MOTO_PORT": str(port), "AWS_DEFAULT_REGION": "us-east-1"}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            server = Server(f"http://127.0.0.1:{port}")
            _switch_on(server, process)
            yield server
        finally:
            process.terminate()
            process.wait()


def _switch_on(server: Server, process: "subprocess.Popen[bytes]") -> None:
    body = {"stepfunctions": {"execute_state_machine": True}, "lambda": {"use_docker": False}}
    request = urllib.request.Request(
        f"{server.url}/moto-api/config",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    end = time.monotonic() + 60
    while not _answers(request):
        if process.poll() is not None or time.monotonic() > end:
            raise TimeoutError("moto's server doesn't answer")
        time.sleep(0.1)


def _answers(request: urllib.request.Request) -> bool:
    try:
        urllib.request.urlopen(request, timeout=10).close()
    except OSError:
        return False
    return True
