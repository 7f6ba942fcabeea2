"""What receiving a page costs: by the project's transport, by other clients, in the pipeline.

Every client receives the same pages of 330 KiB, with 8 requests in flight, from a server in another
process. A client that isn't installed is left out; `docs/explanation/transport.md` tells how to
install them beside the project.
"""

import importlib.util
import io
import json
import os
import resource
import runpy
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks import extraction
from benchmarks.measuring import median, report_of, verdict
from benchmarks.prepared_registry import PAGE, prepared_registry
from orch_assets_tests.support.wire import certificate

Get = Callable[[str], Any]
"""Receives the body of a path."""

MODULE = "benchmarks.transfer"
PAGES = 2_000
REPETITIONS = 3
HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip", "x-api-key": "key"}


def main() -> bool:
    """Print the figures; return whether all are within their bounds."""
    return all([*_clients(), *_pipeline()])


# --- clients ---


def _clients() -> Iterator[bool]:
    present = [name for name in CLIENTS if importlib.util.find_spec(MODULES.get(name, "httpx"))]
    for name in sorted({*CLIENTS} - {*present}):
        print(f"{name} is left out: {MODULES[name]} is not installed")
    with tempfile.TemporaryDirectory() as folder:
        pem = str(certificate(Path(folder)))
        os.environ["SSL_CERT_FILE"] = pem
        for trusted in (None, pem):
            print(f"CPU per page, {'TLS' if trusted else 'no TLS'}")
            with prepared_registry(extraction.RECORDS, 0, trusted) as url:
                names = [name for name in present if trusted is None or name != "system_calls"]
                cpu = _cpu(names, url)
            yield verdict("transport / httpx's own", cpu["transport"] / cpu["httpx_own"], 0.6)
        del os.environ["SSL_CERT_FILE"]


def _cpu(names: list[str], url: str) -> dict[str, float]:
    runs = [
        {name: report_of(MODULE, name, url)["cpu"] for name in names} for _ in range(REPETITIONS)
    ]
    cpu = {name: median([run[name] for run in runs]) for name in names}
    for name, milliseconds in cpu.items():
        print(f"  {name}: {milliseconds:.2f} ms, {milliseconds / cpu['transport']:.2f} of ours")
    return cpu


def system_calls(url: str) -> Get:
    """Use one socket and one buffer for each thread, and no HTTP library: the physical limit."""
    address = urlsplit(url)
    own = threading.local()

    def get(path: str) -> bytes:
        import socket

        if not hasattr(own, "socket"):
            own.socket = socket.create_connection((address.hostname, address.port))
            own.buffer = memoryview(bytearray(1 << 20))
        own.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        head, _, first = own.socket.recv(1 << 16).partition(b"\r\n\r\n")
        length, received = int(head.rpartition(b" ")[2]), len(first)
        own.buffer[:received] = first
        while received < length:
            received += own.socket.recv_into(own.buffer[received:length])
        return bytes(own.buffer[:length])

    return get


def requests(url: str) -> Get:
    """Use the transport as the pipelines do: with limits, retries and logs."""
    from orch_assets.imednet import RequestLimiter
    from orch_assets.imednet.api_request import ApiRequest
    from orch_assets.imednet.http import RegistryHttp
    from orch_assets.imednet.settings import RegistrySettings

    settings = RegistrySettings.read("key", "key", url)
    http = RegistryHttp(settings, _straight(url), RequestLimiter(extraction.WINDOW))

    def get(path: str) -> bytes:
        parts = urlsplit(path.removeprefix("/api/v1/edc"))
        query = {name: value for name, (value,) in parse_qs(parts.query).items()}
        request = ApiRequest(parts.path, parts.path.split("/")[2], None, query)
        return http.fetch(request.at(int(query["page"]))).content

    return get


def transport(url: str) -> Get:
    """Use the project's transport alone."""
    import httpx

    client = _straight(url)
    return lambda path: client.send(httpx.Request("GET", url + path, headers=HEADERS)).content


def _straight(url: str) -> Any:
    from orch_assets.imednet.connections.pool import StandardTransport, StraightClient

    return StraightClient(StandardTransport(https=url.startswith("https")))


def httpx_own(url: str) -> Get:
    """Use httpx with its own transport."""
    import httpx

    client = httpx.Client(headers=HEADERS)
    return lambda path: client.get(url + path).content


def urllib3_pool(url: str) -> Get:
    """Use urllib3."""
    import urllib3

    pool = urllib3.PoolManager(
        maxsize=extraction.WINDOW, headers=HEADERS, ca_certs=os.environ["SSL_CERT_FILE"]
    )
    return lambda path: pool.request("GET", url + path).data


def pycurl_handles(url: str) -> Get:
    """Use one handle of libcurl for each thread."""
    pycurl: Any = importlib.import_module("pycurl")
    own = threading.local()

    def get(path: str) -> bytes:
        if not hasattr(own, "handle"):
            own.handle = pycurl.Curl()
            own.handle.setopt(pycurl.HTTPHEADER, [f"{k}: {v}" for k, v in HEADERS.items()])
            own.handle.setopt(pycurl.CAINFO, os.environ["SSL_CERT_FILE"])
            own.handle.setopt(pycurl.BUFFERSIZE, 1 << 19)
            own.handle.setopt(pycurl.NOSIGNAL, 1)
        body = io.BytesIO()
        own.handle.setopt(pycurl.URL, url + path)
        own.handle.setopt(pycurl.WRITEDATA, body)
        own.handle.perform()
        return body.getvalue()

    return get


def pyreqwest_client(url: str) -> Get:
    """Use pyreqwest's own client, which doesn't take a self-signed certificate as trusted."""
    client = _pyreqwest().default_headers(HEADERS).build()
    return lambda path: client.get(url + path).build().send().bytes()


def pyreqwest_httpx(url: str) -> Get:
    """Use httpx with pyreqwest's transport."""
    import httpx

    compatibility: Any = importlib.import_module("pyreqwest.compatibility.httpx")
    sends = compatibility.SyncHttpxTransport(_pyreqwest().build())
    client = httpx.Client(transport=sends, headers=HEADERS)
    return lambda path: client.get(url + path).content


def _pyreqwest() -> Any:
    builder: Any = importlib.import_module("pyreqwest.client").SyncClientBuilder()
    return builder.no_proxy().danger_accept_invalid_certs(True)


CLIENTS: dict[str, Callable[[str], Get]] = {
    each.__name__: each
    for each in (
        system_calls,
        requests,
        transport,
        httpx_own,
        urllib3_pool,
        pycurl_handles,
        pyreqwest_client,
        pyreqwest_httpx,
    )
}
MODULES = {
    "urllib3_pool": "urllib3",
    "pycurl_handles": "pycurl",
    "pyreqwest_client": "pyreqwest",
    "pyreqwest_httpx": "pyreqwest",
}


# --- the pipeline ---


def _pipeline() -> Iterator[bool]:
    for latency in (0.0, extraction.LATENCY):
        print(f"The pipeline `records` at {latency:g} ms a page, and with pages from memory")
        with prepared_registry(extraction.RECORDS, latency) as url:
            runs = [
                (
                    report_of("benchmarks.extraction", "pipeline", url)["cpu"],
                    report_of(MODULE, "from_memory", url, str(latency / 1000))["cpu"],
                )
                for _ in range(REPETITIONS)
            ]
        received, in_memory = map(median, zip(*runs, strict=True))
        print(f"  CPU: {received:.2f} s, from memory {in_memory:.2f} s")
        # Another client could gain less: it has to receive the bytes, too.
        yield verdict("CPU that a free transfer would save", 1 - in_memory / received, 0.1)


def from_memory(url: str, seconds: str) -> None:
    """Run the pipeline on pages that are in memory already, and print its figures."""
    import httpx

    from orch_assets.imednet import http
    from orch_assets.imednet.connections.receiving import ReceivedAnswer

    receive, headers = http.receive, httpx.Headers()
    with httpx.Client() as client:
        bodies = {path: client.get(url + path).content for path in _paths()}

    def body_of(client: Any, request: httpx.Request, limits: Any) -> ReceivedAnswer:
        body = bodies.get(_path(request.url.path, request.url.params.get("page")))
        if body is None:
            return receive(client, request, limits)
        time.sleep(float(seconds))
        return ReceivedAnswer(200, headers, body)

    http.receive = body_of
    sys.argv = ["extraction", "pipeline", url]
    runpy.run_module("benchmarks.extraction", run_name="__main__")


def _paths() -> list[str]:
    return [
        _path(f"/api/v1/edc/studies/{study}/records", str(page))
        for study in extraction.STUDIES
        for page in range(extraction.RECORDS // PAGE)
    ]


def _path(endpoint: str, page: str | None) -> str:
    return f"{endpoint}?page={page}&size={PAGE}&sort=recordId%2CASC"


def _report(kind: str, url: str) -> None:
    """Measure a client in this process, and print the figures as JSON."""
    get, paths = CLIENTS[kind](url), _paths()
    with ThreadPoolExecutor(extraction.WINDOW) as pool:
        sum(pool.map(lambda path: len(get(path)), paths))
        before = resource.getrusage(resource.RUSAGE_SELF)
        sum(pool.map(lambda path: len(get(path)), paths * (PAGES // len(paths))))
        after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"cpu": seconds / PAGES * 1000}))


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    if kind == "from_memory":
        from_memory(*arguments)
    else:
        _report(kind, *arguments)
