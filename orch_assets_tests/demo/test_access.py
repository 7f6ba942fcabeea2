import httpx
import pytest

from orch_assets.demo import DemoServer
from orch_assets_tests.demo.conftest import Client


@pytest.mark.parametrize("spoil", ["x-api-key", "x-imn-security-key"])
@pytest.mark.parametrize("value", [None, "wrong", "demo-api-kéy"])
def test_both_keys_are_needed(steady: DemoServer, spoil: str, value: str | None) -> None:
    headers = {**steady.headers, spoil: value}
    sent = [(name, text.encode()) for name, text in headers.items() if text is not None]
    answer = httpx.get(f"{steady.base_url}/api/v1/edc/studies/nope/sites", headers=sent)
    assert answer.status_code == 401
    assert answer.json()["metadata"]["error"]["code"] == "9001"


def test_an_error_never_holds_a_key(steady: DemoServer) -> None:
    headers = {"x-api-key": "somebodys-real-key", "x-imn-security-key": "another"}
    answer = httpx.get(f"{steady.base_url}/api/v1/edc/studies", headers=headers)
    assert "somebodys" not in answer.text + str(answer.headers)


def test_a_servers_repr_holds_no_key(steady: DemoServer) -> None:
    assert "demo-api-key" not in repr(steady)


def test_an_unknown_study_is_not_found(client: Client) -> None:
    assert client.error("/studies/ONC-999/sites") == (404, "9000", "studyKey")


def test_a_forbidden_study_is_listed_and_refused(server: DemoServer, client: Client) -> None:
    server.registry.forbid_study("CARD-202")
    assert client.ids("/studies", "studyKey") == ["CARD-202", "ONC-301"]
    assert client.error("/studies/CARD-202/sites") == (403, "9001", "studyKey")
    server.registry.allow_study("CARD-202")
    assert client.get("/studies/CARD-202/sites").status_code == 200


@pytest.mark.parametrize(
    "path", ["", "/nothing", "/studies/", "/studies/ONC-301", "/studies/ONC-301/jobs"]
)
def test_an_unknown_path_is_an_envelope(client: Client, path: str) -> None:
    assert client.error(path) == (404, "9000", "")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_only_get_is_served(client: Client, method: str) -> None:
    answer = client.http.request(method, "/studies/ONC-301/records")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    if method != "HEAD":
        assert answer.json()["metadata"]["method"] == method
