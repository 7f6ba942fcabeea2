"""The public ``imednet`` package reads the simulator as it would read the real one."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orch_assets.demo import DemoServer

pytestmark = pytest.mark.peers

KEY = "ONC-301"
ENDPOINTS = {
    "sites": "sites",
    "forms": "forms",
    "intervals": "intervals",
    "visits": "visits",
    "subjects": "subjects",
    "variables": "variables",
    "codings": "codings",
    "queries": "queries",
    "record_revisions": "recordRevisions",
    "records": "records",
}
_SCRIPT = Path(__file__).with_name("public_client.py")


@pytest.fixture(scope="module")
def server() -> Iterator[DemoServer]:
    with DemoServer(studies=12, subjects=12) as server:
        yield server


@pytest.fixture(scope="module")
def found(peers: Path, server: DemoServer) -> dict[str, Any]:
    """What the package read."""
    batch = server.registry.rows("jobs", KEY)[0]["batchId"]
    done = subprocess.run(
        [peers / "python", _SCRIPT, KEY, batch],
        env={
            **os.environ,
            "IMEDNET_BASE_URL": server.base_url,
            "IMEDNET_API_KEY": server.api_key,
            "IMEDNET_SECURITY_KEY": server.security_key,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("name", ENDPOINTS)
def test_every_row_arrives(server: DemoServer, found: dict[str, Any], name: str) -> None:
    """As many rows as there are, with the same text, numbers and booleans."""
    rows, arrived = server.registry.rows(ENDPOINTS[name], KEY), found["rows"][name]
    assert len(arrived) == len(rows) > 0
    for row, read in zip(rows, arrived, strict=True):
        plain = {
            key: value
            for key, value in row.items()
            if isinstance(value, (int, str)) and "date" not in key.lower()
        }
        assert {key: read[key] for key in plain} == plain


def test_record_data_arrives_as_it_is(server: DemoServer, found: dict[str, Any]) -> None:
    assert [record["recordData"] for record in found["rows"]["records"]] == [
        record["recordData"] for record in server.registry.rows("records", KEY)
    ]


def test_studies_users_and_a_job_arrive(server: DemoServer, found: dict[str, Any]) -> None:
    assert sorted(found["studies"]) == sorted(server.registry.study_keys())
    users = server.registry.rows("users", KEY)
    assert found["users"] == sorted(users, key=lambda user: user["login"])
    assert found["job"] == server.registry.rows("jobs", KEY)[0]["state"]


def test_the_packages_filters_are_understood(server: DemoServer, found: dict[str, Any]) -> None:
    """A list of values (OR), a date, and a filter on record data."""
    assert found["filtered"] == [
        subject["subjectId"]
        for subject in server.registry.rows("subjects", KEY)
        if subject["subjectStatus"] in {"Completed", "Withdrawn"}
    ]
    records = server.registry.rows("records", KEY)
    assert found["recent"] == [
        record["recordId"] for record in records if record["dateModified"] > "2025-01-01 00:00:00"
    ]
    assert found["normal"] == [
        record["recordId"] for record in records if record["recordData"].get("PENORM") == "Yes"
    ]
    assert found["filtered"]
    assert found["recent"]
    assert found["normal"]
