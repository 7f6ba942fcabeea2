"""S3 and Google Cloud Storage on this machine: a server process each, on a free loopback port."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orch_assets.clouds import botocore_session

_GCS = """
import sys, threading
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from gcp_storage_emulator import server, storage
from gcp_storage_emulator.handlers import objects

# The emulator serves one connection at a time, so that one that is kept open stops all others;
# its storage is made for one request at a time; and it stores what it got of a body that was cut.
# At every change it writes a list of all objects that ever were, for a later start. It ignores
# conditions, and the new metadata of a copy.
lock, handle, read = threading.Lock(), server.Router.handle, server._read_raw_data

def handle_alone(router, method):
    with lock:
        handle(router, method)

def read_whole(handler):
    data = read(handler)
    if data and len(data) < int(handler.headers.get("Content-Length") or 0):
        raise ConnectionAbortedError
    return data

def on_condition(handler):
    def handled(request, response, storage, *args, **kwargs):
        wanted = request.query.get("ifGenerationMatch")
        bucket = request.params.get("dest_bucket_name") or request.params["bucket_name"]
        name = request.params.get("dest_object_id") or request.query.get("name", [""])[0]
        if wanted:
            name = name or request.data["meta"]["name"]
            found = storage.objects.get(bucket, {}).get(name, {}).get("generation", "0")
            if found != wanted[0]:
                response.status = HTTPStatus.PRECONDITION_FAILED
                return
        handler(request, response, storage, *args, **kwargs)
        if handler is rewrite and request.data:
            objects._patch(storage, bucket, name, request.data)
    return handled

rewrite = objects.rewrite
for path, handlers in server.HANDLERS:
    for method, handler in handlers.items():
        if handler in (objects.insert, objects.rewrite):
            handlers[method] = on_condition(handler)
storage.Storage._write_config_to_file = lambda _: None
server.server.HTTPServer, server.Router.handle = ThreadingHTTPServer, handle_alone
server._read_raw_data = read_whole
server.create_server("127.0.0.1", int(sys.argv[1]), True).run()
"""
# Without these, boto3 looks for a role of the machine.
_AWS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "planted-secret-key",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """Run moto's server; give the variables by which the vendor's library finds it."""
    port = free_port()
    with _running([sys.executable, "-m", "orch_assets_tests.support.moto_server", str(port)], port):
        yield {**_AWS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}


@contextmanager
def gcs_server() -> Iterator[dict[str, str]]:
    """Run a GCS emulator; give the variables by which the vendor's library finds it."""
    port = free_port()
    with _running([sys.executable, "-c", _GCS, str(port)], port):
        yield {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}


def s3_client(settings: Mapping[str, str]) -> Any:
    """Return a boto3 client of a server."""
    import boto3

    return boto3.session.Session(
        settings["AWS_ACCESS_KEY_ID"],
        settings["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
        botocore_session=botocore_session(),
    ).client("s3", endpoint_url=settings["AWS_ENDPOINT_URL"])


def gcs_client(settings: Mapping[str, str]) -> Any:
    """Return a Google client of a server."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client

    return Client(
        "test",
        AnonymousCredentials(),
        client_options={"api_endpoint": settings["STORAGE_EMULATOR_HOST"]},
    )


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    # Its own words are a line for each request: into a file that nobody misses.
    with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("wb") as log:
        environment = {**os.environ, "MOTO_PORT": str(port)}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            _await(port, process)
            yield
        finally:
            process.kill()
            process.wait()


def _await(port: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 30
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > end:
            raise TimeoutError(f"No server on port {port}")
        time.sleep(0.05)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
