"""The data changes while the server runs."""

import pytest

from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.errors import StudyKeyError
from orch_assets_tests.demo.conftest import Client

RECORDS = "/studies/ONC-301/records"


def test_a_hidden_study_leaves_the_registry_and_comes_back(
    server: DemoServer, client: Client
) -> None:
    server.registry.hide_study("ONC-301")
    assert client.ids("/studies", "studyKey") == ["CARD-202"]
    assert client.error(RECORDS)[0] == 404
    server.registry.show_study("ONC-301")
    assert client.ids("/studies", "studyKey") == ["CARD-202", "ONC-301"]
    assert client.get(RECORDS).status_code == 200


def test_an_added_study_is_listed_and_has_rows(server: DemoServer, client: Client) -> None:
    server.registry.add_study("NEW & ÄLTER", subjects=3)
    assert server.registry.study_keys() == ["ONC-301", "CARD-202", "NEW & ÄLTER"]
    assert "NEW & ÄLTER" in client.ids("/studies", "studyKey")
    assert len(client.ids("/studies/NEW & ÄLTER/subjects", "subjectId")) == 3


def test_an_added_study_shares_no_ids(server: DemoServer) -> None:
    server.registry.add_study("NEW-1")
    ids = [
        row["recordId"]
        for key in server.registry.study_keys()
        for row in server.registry.rows("records", key)
    ]
    assert len(ids) == len(set(ids))


def test_a_study_is_added_once_and_with_a_legal_key(server: DemoServer) -> None:
    with pytest.raises(ValueError, match="already"):
        server.registry.add_study("ONC-301")
    with pytest.raises(StudyKeyError):
        server.registry.add_study("a/b")


def test_a_row_deleted_between_pages_moves_the_rest(server: DemoServer, client: Client) -> None:
    ids = [row["recordId"] for row in server.registry.rows("records", "ONC-301")]
    server.registry.after_page(
        "records", 0, lambda registry: registry.delete_row("records", "ONC-301", ids[0])
    )
    assert client.ids(RECORDS, "recordId", size=10) == ids[:10]
    assert client.ids(RECORDS, "recordId", size=10, page=1) == ids[11:21]
    assert client.get(RECORDS).json()["pagination"]["totalElements"] == len(ids) - 1


def test_a_row_inserted_between_pages_moves_the_rest(server: DemoServer, client: Client) -> None:
    rows = server.registry.rows("records", "ONC-301")
    ids = [row["recordId"] for row in rows]
    new = {**rows[0], "recordId": ids[0] - 1}
    server.registry.after_page(
        "records",
        0,
        lambda registry: registry.insert_row("records", "ONC-301", new),
        study_key="ONC-301",
    )
    client.get("/studies/CARD-202/records")  # another study's page triggers no change
    assert client.ids(RECORDS, "recordId", size=10) == ids[:10]
    assert client.ids(RECORDS, "recordId", size=10, page=1) == ids[9:19]


def test_a_change_after_a_page_happens_once(server: DemoServer, client: Client) -> None:
    calls: list[DemoRegistry] = []
    server.registry.after_page("records", 0, calls.append)
    client.get(RECORDS)
    client.get(RECORDS)
    assert calls == [server.registry]


def test_an_updated_row_is_found_by_its_new_value(server: DemoServer, client: Client) -> None:
    subject = server.registry.rows("subjects", "ONC-301")[0]
    params = {"filter": 'subjectStatus=="On Hold"'}
    assert client.ids("/studies/ONC-301/subjects", "subjectId", **params) == []
    server.registry.update_row("subjects", "ONC-301", subject["subjectId"], subjectStatus="On Hold")
    assert client.ids("/studies/ONC-301/subjects", "subjectId", **params) == [subject["subjectId"]]
    assert subject["subjectStatus"] != "On Hold"


def test_what_is_not_there_cant_be_changed(server: DemoServer) -> None:
    with pytest.raises(KeyError, match="no row"):
        server.registry.delete_row("records", "ONC-301", 0)
    with pytest.raises(KeyError, match="no row"):
        server.registry.update_row("records", "ONC-301", 0, deleted=True)
    with pytest.raises(KeyError):
        server.registry.hide_study("nope")
    with pytest.raises(KeyError, match="needs a study"):
        server.registry.rows("records")
