import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

from orch_assets.demo import DemoRegistry, DemoServer, Fault


def test_stopping_leaves_nothing_behind() -> None:
    before = set(threading.enumerate())
    server = DemoServer(studies=1, subjects=2)
    with server, httpx.Client(base_url=server.base_url, headers=server.headers) as http:
        assert http.get("/api/v1/edc/studies/ONC-301/sites").status_code == 200
        port = int(server.base_url.rpartition(":")[2])
        server.stop()  # with a keep-alive connection open
        server.stop()
    assert set(threading.enumerate()) == before
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_stopping_doesnt_wait_for_a_delay() -> None:
    with DemoServer(studies=0) as server:
        server.faults.add(Fault("delay", seconds=60))
        url = f"{server.base_url}/api/v1/edc/studies"
        asking = threading.Thread(target=httpx.get, args=(url,), kwargs={"timeout": 60})
        asking.start()
        while not server.traffic.in_flight:
            time.sleep(0.01)
        started = time.monotonic()
        server.stop()
        asking.join()
    assert time.monotonic() - started < 5


def test_a_server_can_be_started_again_on_its_port() -> None:
    server = DemoServer(studies=1, subjects=0)
    with server:
        url = server.base_url
    with server:
        assert server.base_url == url
        assert httpx.get(f"{url}/api/v1/edc/studies", headers=server.headers).status_code == 200


def test_a_running_server_isnt_started_twice() -> None:
    with DemoServer(studies=0) as server, pytest.raises(RuntimeError, match="already"):
        server.start()


def test_there_is_no_url_before_the_start() -> None:
    with pytest.raises(RuntimeError, match="start"):
        _ = DemoServer(studies=0).base_url


def test_a_taken_port_is_an_error_of_the_caller() -> None:
    with DemoServer(studies=0) as server:
        port = int(server.base_url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            DemoServer(studies=0, port=port).start()


def test_two_servers_share_a_registry() -> None:
    registry = DemoRegistry(studies=1, subjects=2)
    with DemoServer(registry) as first, DemoServer(registry, api_key="other") as second:
        registry.add_study("LATE-1", subjects=1)
        for server in (first, second):
            answer = httpx.get(f"{server.base_url}/api/v1/edc/studies", headers=server.headers)
            assert answer.json()["pagination"]["totalElements"] == 2


def test_nothing_is_served_from_no_studies() -> None:
    with DemoServer(studies=0) as server:
        answer = httpx.get(f"{server.base_url}/api/v1/edc/studies", headers=server.headers)
    assert answer.json()["data"] == []
    assert answer.json()["pagination"]["totalPages"] == 0


def test_importing_the_package_loads_no_tables_library() -> None:
    code = "import sys, orch_assets.demo as d; print({'pandas', 'pyarrow'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_command_line_serves_until_it_is_interrupted() -> None:
    command = [sys.executable, "-m", "orch_assets.demo", "--studies", "3"]
    with subprocess.Popen(
        [*command, "--subjects", "2", "--days", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
        # A process that a shell runs in the background ignores SIGINT, and so would this child.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline() for _ in range(4)]
        settings = dict(re.findall(r"export (\w+)=(\S+)", "".join(lines)))
        headers = {
            "x-api-key": settings["IMEDNET_API_KEY"],
            "x-imn-security-key": settings["IMEDNET_SECURITY_KEY"],
        }
        answer = httpx.get(f"{settings['IMEDNET_BASE_URL']}/api/v1/edc/studies", headers=headers)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert (process.stdout.read(), process.stderr.read()) == ("Stopped.\n", "")
    assert len(json.loads(answer.text)["data"]) == 3
    assert json.loads(answer.text)["metadata"]["timestamp"] == "2025-07-02 12:00:01"  # after 2 days
