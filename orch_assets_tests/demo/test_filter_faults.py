"""Servers that treat filters and dates in another way than the documents say."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from orch_assets.demo import DemoServer, Fault
from orch_assets.demo.read_api import STUDY_ENDPOINTS
from orch_assets_tests.demo.conftest import Client

STUDY = "ONC-301"
RECORDS = f"/studies/{STUDY}/records"
DATES = [
    (name, field)
    for name, endpoint in STUDY_ENDPOINTS.items()
    if "filter" in endpoint.parameters
    for field, described in endpoint.scalars.items()
    if described.kind == "date_time"
]


def middle(server: DemoServer, endpoint: str, field: str) -> str:
    """Return a date in the middle of those of an endpoint's rows."""
    dates = sorted(row[field] for row in server.registry.rows(endpoint, STUDY) if field in row)
    return str(dates[len(dates) // 2])


def since(moment: str, field: str = "dateModified") -> str:
    return f"{field}>={moment.replace(' ', 'T')}Z"


@pytest.mark.parametrize(("endpoint", "field"), DATES)
def test_every_date_can_be_filtered_and_sorted_by(
    steady: DemoServer, client: Client, endpoint: str, field: str
) -> None:
    """In UTC, including the bound itself; equal dates stay in the order of the IDs."""
    bound = middle(steady, endpoint, field)
    rows = steady.registry.rows(endpoint, STUDY)
    expected = sorted((r for r in rows if r.get(field, "") >= bound), key=lambda row: row[field])
    answer = client.get(
        f"/studies/{STUDY}/{endpoint}", filter=since(bound, field), sort=f"{field},ASC", size=500
    ).json()
    assert 0 < len(expected) < len(rows)
    assert answer["data"] == expected[:500]
    assert answer["pagination"]["totalElements"] == len(expected)


def test_there_are_dates_of_all_kinds() -> None:
    assert {("records", "dateModified"), ("codings", "dateCoded")} < set(DATES)
    assert {("recordRevisions", "dateCreated"), ("subjects", "enrollmentStartDate")} < set(DATES)


@pytest.mark.parametrize(
    "text",
    [
        "2025-06-01 00:00:00",
        "2025-06-01T00:00:00+00:00",
        "2025-06-01T00:00:00.000Z",
        "2025-13-01T00:00:00Z",
        "1748736000",
    ],
)
def test_another_date_format_is_a_validation_error(client: Client, text: str) -> None:
    status, code, _ = client.error(RECORDS, filter=f"dateModified>={text}")
    assert (status, code) == (400, "1000")


def test_an_ignored_filter_returns_all_rows(server: DemoServer, client: Client) -> None:
    rows = server.registry.rows("records", STUDY)
    server.faults.add(Fault("ignored_filter", endpoint="records"))
    answer = client.get(RECORDS, filter=since("2099-01-01 00:00:00")).json()
    assert answer["pagination"]["totalElements"] == len(rows)
    assert client.ids(RECORDS, "recordId", filter="nonsense")[0] == rows[0]["recordId"]


def test_a_refused_filter_is_a_validation_error_and_other_requests_work(
    server: DemoServer, client: Client
) -> None:
    server.faults.add(Fault("refused_filter"))
    bound = since("2025-01-01 00:00:00")
    assert client.error(RECORDS, filter=bound) == (400, "1000", "filter")
    assert client.error(RECORDS, recordDataFilter="SEX==F") == (400, "1000", "recordDataFilter")
    assert client.get(RECORDS).status_code == 200


def test_a_fault_of_filters_counts_only_requests_that_have_one(
    server: DemoServer, client: Client
) -> None:
    server.faults.add(Fault("refused_filter", times=1))
    bound = since("2025-01-01 00:00:00")
    statuses = [client.get(RECORDS, **params).status_code for params in ({}, {"filter": bound}) * 2]
    assert statuses == [200, 400, 200, 200]
    assert [entry.filtered for entry in server.traffic.log] == [False, True] * 2


@pytest.mark.parametrize("hours", [2.0, -5.0, 5.5])
def test_another_zone_moves_the_bound_not_the_rows(
    server: DemoServer, client: Client, hours: float
) -> None:
    start = datetime(2025, 7, 1, tzinfo=UTC)
    ids = [row["recordId"] for row in server.registry.rows("records", STUDY)[:24]]
    for hour, record_id in enumerate(ids):
        with server.registry.edit(STUDY, at=start + timedelta(hours=hour)) as edit:
            edit.records.change(record_id, {})
    noon = since("2025-07-01 12:00:00")
    assert client.ids(RECORDS, "recordId", filter=noon) == ids[12:]
    server.faults.add(Fault("other_zone", hours=hours))
    assert client.ids(RECORDS, "recordId", filter=noon) == ids[math.ceil(12 - hours) :]
    assert client.error(RECORDS, filter="dateModified>=2025-02-30T00:00:00Z")[0] == 400


def test_another_order_says_it_is_the_one_asked_for(server: DemoServer, client: Client) -> None:
    ids = [row["recordId"] for row in server.registry.rows("records", STUDY)]
    server.faults.add(Fault("other_order"))
    answer = client.get(RECORDS, sort="recordId,ASC", size=10).json()
    assert [row["recordId"] for row in answer["data"]] == ids[::-1][:10]
    assert answer["pagination"]["sort"] == [{"property": "recordId", "direction": "ASC"}]


def test_a_late_commit_appears_with_an_earlier_date(server: DemoServer, client: Client) -> None:
    """It is behind a bound that a reader took from rows that were committed before."""
    record, other = (row["recordId"] for row in server.registry.rows("records", STUDY)[:2])
    server.registry.clock.advance(timedelta(days=1))
    with server.registry.edit(STUDY) as edit:
        newest = edit.records.change(record, {})["dateModified"]
    server.registry.clock.late = timedelta(minutes=30)
    with server.registry.edit(STUDY) as edit:
        edit.records.change(other, {})
    assert client.ids(RECORDS, "recordId", filter=since(newest)) == [record]
    earlier = f"{datetime.fromisoformat(newest) - timedelta(hours=1)}"
    assert client.ids(RECORDS, "recordId", filter=since(earlier)) == [record, other]


def test_an_answers_time_is_the_accounts(server: DemoServer, client: Client) -> None:
    for params in ({}, {"filter": "nonsense"}):
        metadata = client.get(RECORDS, **params).json()["metadata"]
        assert metadata["timestamp"] == "2025-06-30 12:00:01"
    server.registry.clock.advance(timedelta(days=-2))
    assert client.get("/studies").json()["metadata"]["timestamp"] == "2025-06-28 12:00:01"
