import httpx
import pytest

from orch_assets.demo import DemoServer
from orch_assets.demo.read_api import ENDPOINTS, STUDY_ENDPOINTS
from orch_assets_tests.demo.conftest import Client

RECORDS = "/studies/ONC-301/records"


def test_the_envelope_is_the_documented_one(client: Client) -> None:
    answer = client.get("/studies/ONC-301/sites", size=2)
    body = answer.json()
    timestamp = body["metadata"].pop("timestamp")
    assert len(timestamp) == len("2025-06-05 21:12:09")
    total = body["pagination"]["totalElements"]
    assert {key: body[key] for key in ("metadata", "pagination")} == {
        "metadata": {
            "status": "OK",
            "method": "GET",
            "path": "/api/v1/edc/studies/ONC-301/sites",
            "error": {},
        },
        "pagination": {
            "currentPage": 0,
            "size": 2,
            "totalPages": -(-total // 2),
            "totalElements": total,
            "sort": [{"property": "siteId", "direction": "ASC"}],
        },
    }
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("endpoint", STUDY_ENDPOINTS)
def test_every_endpoint_of_a_study_gives_all_its_rows_over_its_pages(
    steady: DemoServer, client: Client, endpoint: str
) -> None:
    rows = list(steady.registry.rows(endpoint, "ONC-301"))
    id_name = ENDPOINTS[endpoint].id
    params = {"size": 7, "sort": f"{id_name},ASC", "includeInactive": "true"}
    arrived: list[object] = []
    for page in range(-(-len(rows) // 7)):
        arrived += client.get(f"/studies/ONC-301/{endpoint}", page=page, **params).json()["data"]
    assert arrived == rows


def test_studies_with_any_legal_key_can_be_asked_for(steady: DemoServer) -> None:
    with httpx.Client(base_url=steady.base_url, headers=steady.headers) as http:
        for key in steady.registry.study_keys():
            quoted = "".join(f"%{byte:02X}" for byte in key.encode())
            answer = http.get(f"/api/v1/edc/studies/{quoted}/sites")
            assert {row["studyKey"] for row in answer.json()["data"]} == {key}


def test_a_page_is_25_rows_unless_asked_otherwise(client: Client) -> None:
    assert len(client.get(RECORDS).json()["data"]) == 25
    assert client.get(RECORDS).json()["pagination"]["size"] == 25


def test_a_page_past_the_end_is_empty_and_no_error(client: Client) -> None:
    answer = client.get(RECORDS, page=10_000, size=500)
    assert (answer.status_code, answer.json()["data"]) == (200, [])
    assert answer.json()["pagination"]["totalElements"] > 0


@pytest.mark.parametrize(
    ("params", "attribute"),
    [
        ({"size": "0"}, "size"),
        ({"size": "501"}, "size"),
        ({"size": "-1"}, "size"),
        ({"size": "ten"}, "size"),
        ({"size": ""}, "size"),
        ({"size": "٣"}, "size"),
        ({"size": "9" * 5000}, "size"),
        ({"size": ["1", "2"]}, "size"),
        ({"page": "-1"}, "page"),
        ({"page": "1.5"}, "page"),
        ({"page": ["0", "0"]}, "page"),
        ({"sort": "recordId"}, "sort"),
        ({"sort": "recordId,UP"}, "sort"),
        ({"sort": "nothing,ASC"}, "sort"),
        ({"sort": "recordData,ASC"}, "sort"),
        ({"filter": ["recordId==1", "recordId==2"]}, "filter"),
    ],
)
def test_garbage_is_a_validation_error(
    client: Client, params: dict[str, str], attribute: str
) -> None:
    assert client.error(RECORDS, **params) == (400, "1000", attribute)


def test_a_validation_error_says_what_the_value_was(client: Client) -> None:
    error = client.get(RECORDS, size="501").json()["metadata"]
    assert error["status"] == "ERROR"
    assert error["error"]["field"] == {"attribute": "size", "value": "501"}


def test_the_default_order_is_the_one_that_the_envelope_names(client: Client) -> None:
    for path, name in (("/studies", "studyKey"), ("/studies/ONC-301/users", "login")):
        values = client.ids(path, name, size=500)
        assert values == sorted(values)
        assert client.get(path).json()["pagination"]["sort"] == [
            {"property": name, "direction": "ASC"}
        ]


def test_rows_are_sorted_by_several_fields(steady: DemoServer, client: Client) -> None:
    ids = client.ids(RECORDS, "recordId", size=500, sort=["formKey,DESC", "recordId,ASC"])
    rows = sorted(steady.registry.rows("records", "ONC-301"), key=lambda row: row["recordId"])
    rows.sort(key=lambda row: row["formKey"], reverse=True)
    assert ids == [row["recordId"] for row in rows][:500]


def test_rows_without_the_field_come_first(steady: DemoServer, client: Client) -> None:
    visits = client.get("/studies/ONC-301/visits", size=500, sort="visitDate,ASC").json()["data"]
    dates = [visit.get("visitDate", "") for visit in visits]
    assert dates == sorted(dates)


def test_users_are_the_active_ones_unless_asked_otherwise(
    steady: DemoServer, client: Client
) -> None:
    users = {
        (user["userActiveInStudy"], key, user["userId"])
        for key in ("ONC-301", "CARD-202", "DERM-104")
        for user in steady.registry.rows("users", key)
    }
    listed = {
        (user["userActiveInStudy"], key, user["userId"])
        for key in ("ONC-301", "CARD-202", "DERM-104")
        for user in client.get(f"/studies/{key}/users", size=500).json()["data"]
    }
    assert listed == {user for user in users if user[0]}
    assert listed != users
    everybody = client.get("/studies/ONC-301/users", size=500, includeInactive="true").json()
    assert len(everybody["data"]) == len(steady.registry.rows("users", "ONC-301"))
    assert client.error("/studies/ONC-301/users", includeInactive="1")[0] == 400


def test_a_job_is_found_by_its_batch(steady: DemoServer, client: Client) -> None:
    job = steady.registry.rows("jobs", "ONC-301")[0]
    assert client.get(f"/studies/ONC-301/jobs/{job['batchId']}").json() == job
    assert client.error("/studies/ONC-301/jobs/none") == (404, "9000", "batchId")
