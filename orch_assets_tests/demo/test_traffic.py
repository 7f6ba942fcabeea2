import threading

import httpx

from orch_assets.demo import DemoServer, Fault
from orch_assets_tests.demo.conftest import Client


def _ask_at_once(server: DemoServer, requests: int) -> list[httpx.Response]:
    answers: list[httpx.Response] = []
    url = f"{server.base_url}/api/v1/edc/studies"

    def ask() -> None:
        answers.append(httpx.get(url, headers=server.headers))

    threads = [threading.Thread(target=ask) for _ in range(requests)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_a_request_is_logged(server: DemoServer, client: Client) -> None:
    client.get("/studies/ONC-301/records", page=2, size=5, filter='formKey=="AE"')
    (entry,) = server.traffic.log
    assert entry.path == "/api/v1/edc/studies/ONC-301/records"
    assert (entry.endpoint, entry.study_key, entry.page, entry.size, entry.status) == (
        "records",
        "ONC-301",
        2,
        5,
        200,
    )
    assert entry.ended is not None
    assert entry.started < entry.ended


def test_a_log_entry_holds_no_header_and_no_query(server: DemoServer, client: Client) -> None:
    client.get("/studies", filter="studyKey==SECRET")
    entry = repr(server.traffic.log)
    assert "demo-api-key" not in entry
    assert "SECRET" not in entry


def test_what_is_no_endpoint_is_logged_too(server: DemoServer, client: Client) -> None:
    client.get("/nothing", page="x")
    client.get("/studies/ONC-301/records", page="x")
    client.get("/studies/R&D%201/jobs/abc")
    assert [(e.endpoint, e.study_key, e.page, e.status) for e in server.traffic.log] == [
        (None, None, None, 404),
        ("records", "ONC-301", None, 400),
        ("jobs", "R&D 1", None, 404),
    ]


def test_who_has_an_answer_may_ask_the_next_within_the_limit(
    server: DemoServer, client: Client
) -> None:
    server.traffic.limit = 1
    for _ in range(200):
        assert client.get("/studies").status_code == 200
        assert server.traffic.in_flight == 0


def test_requests_in_flight_are_counted(server: DemoServer) -> None:
    server.faults.add(Fault("delay", seconds=0.5))
    _ask_at_once(server, 5)
    assert (server.traffic.max_in_flight, server.traffic.in_flight) == (5, 0)
    server.traffic.clear()
    assert (server.traffic.max_in_flight, server.traffic.log) == (0, [])


def test_above_the_limit_the_answer_is_429(server: DemoServer) -> None:
    server.faults.add(Fault("delay", seconds=0.5))
    server.traffic.limit = 2
    server.traffic.retry_after = "1"
    answers = _ask_at_once(server, 5)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 429, 429, 429]
    assert {answer.headers.get("retry-after") for answer in answers} == {None, "1"}


def test_the_limit_changes_while_it_runs(server: DemoServer, client: Client) -> None:
    server.traffic.limit = 0
    assert client.get("/studies").status_code == 429
    server.traffic.limit = None
    assert client.get("/studies").status_code == 200
