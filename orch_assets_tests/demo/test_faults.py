import threading
import time

import httpx
import pytest

from orch_assets.demo import DemoServer, Fault
from orch_assets_tests.demo.conftest import Client

RECORDS = "/studies/ONC-301/records"


@pytest.fixture
def right(server: DemoServer) -> list[int]:
    return [row["recordId"] for row in server.registry.rows("records", "ONC-301")]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_a_status_is_an_envelope(server: DemoServer, client: Client, status: int) -> None:
    server.faults.add(Fault("status", status=status))
    assert client.error("/studies") == (status, "9000", "")
    assert "retry-after" not in client.get("/studies").headers


def test_a_status_brings_retry_after(server: DemoServer, client: Client) -> None:
    server.faults.add(Fault("status", status=429, retry_after="2"))
    assert client.get("/studies").headers["retry-after"] == "2"


def test_a_fault_happens_as_often_as_it_says(server: DemoServer, client: Client) -> None:
    server.faults.add(Fault("status", times=2))
    assert [client.get("/studies").status_code for _ in range(3)] == [500, 500, 200]
    assert server.faults.active == []


def test_faults_queue_up(server: DemoServer, client: Client) -> None:
    server.faults.add(Fault("status", times=1), Fault("status", status=429, times=1))
    assert [client.get("/studies").status_code for _ in range(3)] == [500, 429, 200]


def test_a_fault_hits_only_what_it_is_meant_for(server: DemoServer, client: Client) -> None:
    server.faults.add(Fault("status", endpoint="records", study_key="ONC-301", page=1))
    assert client.get(RECORDS, page=1).status_code == 500
    assert client.get(RECORDS).status_code == 200
    assert client.get("/studies/ONC-301/visits", page=1).status_code == 200
    assert client.get("/studies/CARD-202/records", page=1).status_code == 200


def test_cleared_faults_are_gone(server: DemoServer, client: Client) -> None:
    server.faults.add(Fault("html"))
    server.faults.clear()
    assert client.get("/studies").headers["content-type"] == "application/json"


def test_a_cut_body_is_shorter_than_declared(server: DemoServer, client: Client) -> None:
    server.faults.add(Fault("cut", times=1))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        client.get("/studies")
    assert client.get("/studies").status_code == 200


def test_a_reset_breaks_the_connection(server: DemoServer, client: Client) -> None:
    server.faults.add(Fault("reset", times=1))
    with pytest.raises(httpx.ReadError):
        client.get("/studies")
    assert client.get("/studies").status_code == 200


def test_an_error_envelope_comes_at_200(server: DemoServer, client: Client) -> None:
    server.faults.add(Fault("error_envelope"))
    answer = client.get("/studies")
    assert (answer.status_code, answer.json()["metadata"]["status"]) == (200, "ERROR")


def test_html_comes_at_200(server: DemoServer, client: Client) -> None:
    server.faults.add(Fault("html"))
    answer = client.get("/studies")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")


def test_the_right_body_is_called_text(server: DemoServer, client: Client) -> None:
    server.faults.add(Fault("content_type"))
    answer = client.get("/studies")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert len(answer.json()["data"]) == 2


def test_a_wrong_page_says_its_own_number(
    server: DemoServer, client: Client, right: list[int]
) -> None:
    server.faults.add(Fault("wrong_page", page=0))
    answer = client.get(RECORDS, page=0, size=10).json()
    assert answer["pagination"]["currentPage"] == 1
    assert [row["recordId"] for row in answer["data"]] == right[10:20]


def test_the_last_page_goes_wrong_towards_the_one_before(
    server: DemoServer, client: Client, right: list[int]
) -> None:
    server.faults.add(Fault("wrong_page"))
    last = (len(right) - 1) // 10
    answer = client.get(RECORDS, page=last, size=10).json()
    assert answer["pagination"]["currentPage"] == last - 1


def test_a_repeated_page_says_the_number_asked_for(
    server: DemoServer, client: Client, right: list[int]
) -> None:
    server.faults.add(Fault("repeated_page"))
    answer = client.get(RECORDS, page=1, size=10).json()
    assert answer["pagination"]["currentPage"] == 1
    assert [row["recordId"] for row in answer["data"]] == right[:10]


def test_an_empty_page_keeps_the_totals(
    server: DemoServer, client: Client, right: list[int]
) -> None:
    server.faults.add(Fault("empty"))
    answer = client.get(RECORDS).json()
    assert (answer["data"], answer["pagination"]["totalElements"]) == ([], len(right))


def test_missing_data_has_no_key(server: DemoServer, client: Client) -> None:
    server.faults.add(Fault("missing"))
    assert set(client.get(RECORDS).json()) == {"metadata", "pagination"}


def test_shrunk_totals_come_with_the_right_rows(
    server: DemoServer, client: Client, right: list[int]
) -> None:
    server.faults.add(Fault("shrunk"))
    answer = client.get(RECORDS, size=10).json()
    assert answer["pagination"]["totalElements"] == len(right) // 2
    assert [row["recordId"] for row in answer["data"]] == right[:10]


def test_another_studys_rows_are_the_right_ones_but_for_that(
    server: DemoServer, client: Client, right: list[int]
) -> None:
    server.faults.add(Fault("other_study"))
    rows = client.get(RECORDS, size=10).json()["data"]
    assert [row["recordId"] for row in rows] == right[:10]
    assert {row["studyKey"] for row in rows} == {"OTHER-STUDY"}


def test_a_delay_is_followed_by_what_else_is_wrong(server: DemoServer, client: Client) -> None:
    server.faults.add(Fault("delay", seconds=0.2), Fault("status", status=503))
    started = time.monotonic()
    assert client.get("/studies").status_code == 503
    assert time.monotonic() - started >= 0.2


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no fault"):
        Fault("earthquake")  # type: ignore[arg-type]


def test_a_fault_happens_no_more_often_under_threads(server: DemoServer) -> None:
    server.faults.add(Fault("status", times=10))
    statuses: list[int] = []

    def ask() -> None:
        with httpx.Client(base_url=server.base_url, headers=server.headers) as http:
            statuses.extend(http.get("/api/v1/edc/studies").status_code for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 20 + [500] * 10
