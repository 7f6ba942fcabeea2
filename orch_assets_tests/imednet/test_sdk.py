"""The SDK over HTTP, against the simulator."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx
import pyarrow as pa
import pytest

from orch_assets import imednet as registry
from orch_assets.demo import DemoServer, Fault
from orch_assets.errors import (
    ImednetError,
    RegistryRefusedError,
    StudyCancelledError,
    StudyKeyError,
)
from orch_assets.imednet import ImednetSDK, Job, RequestLimiter, arrow_schema
from orch_assets.imednet.fields import DAY, MOMENT, OBJECT, fields_of, read_row
from orch_assets.imednet.sdk import (
    CODINGS,
    FORMS,
    INTERVALS,
    QUERIES,
    RECORD_REVISIONS,
    RECORDS,
    SITES,
    STUDIES,
    SUBJECTS,
    USERS,
    VARIABLES,
    VISITS,
)
from orch_assets.imednet.streams import in_large_batches
from orch_assets.stores.formats.batches import in_blocks
from orch_assets.study import PublishingLease, study_context
from orch_assets.table_blocks import block_rows
from orch_assets_tests.imednet.conftest import MakeSDK

OF_A_STUDY = [
    SITES,
    FORMS,
    INTERVALS,
    VISITS,
    SUBJECTS,
    VARIABLES,
    CODINGS,
    QUERIES,
    RECORD_REVISIONS,
    RECORDS,
]
STUDY = "ONC-301"


def addresses(batch: pa.RecordBatch) -> list[int]:
    return [part.address for column in batch.columns for part in column.buffers() if part]


def as_columns(model: Any, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the server as a table stores it: every field, and no blank dates."""
    values: dict[str, Any] = {field.key: row.get(field.key) for field in fields_of(model)}
    for field in fields_of(model):
        if field.kind in {DAY, MOMENT}:
            values[field.key] = values[field.key] or None
        if field.kind is OBJECT:
            values[field.key] = json.dumps(
                values[field.key], ensure_ascii=False, separators=(",", ":")
            )
    return values


def api_row(model: Any, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of an Arrow table as the server would have written it."""
    return {field.key: _api_value(field, row[field.name]) for field in fields_of(model)}


def _api_value(field: Any, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, list):
        return [api_row(field.kind.row, one) for one in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


@pytest.mark.parametrize("kind", OF_A_STUDY, ids=lambda kind: kind.name)
def test_every_row_and_field_arrives(kind: Any, server: DemoServer, make_sdk: MakeSDK) -> None:
    sdk = make_sdk(server, page_size=50)
    theirs = server.registry.rows(kind.path, STUDY)
    assert theirs
    endpoint = getattr(sdk, kind.name)
    assert list(endpoint.list(STUDY)) == [read_row(kind.model, row) for row in theirs]
    table = endpoint.table(STUDY)
    table.validate(full=True)
    assert [api_row(kind.model, row) for row in table.to_pylist()] == [
        as_columns(kind.model, row) for row in theirs
    ]


def test_batches_are_cut_as_the_stores_write_the_widest_table() -> None:
    schema = max((arrow_schema(kind.model) for kind in [*OF_A_STUDY, USERS]), key=len)
    size = block_rows(len(schema))
    page = pa.table([pa.nulls(500, field.type) for field in schema], schema=schema)
    (page,) = page.to_batches()
    batches = [*in_large_batches(iter([page] * 50), size)]
    assert [batch.num_rows for batch in batches] == [size] * (25_000 // size) + [25_000 % size]
    assert [*map(addresses, in_blocks(batches, schema))] == [*map(addresses, batches)]  # no copies


@pytest.mark.parametrize("kind", [*OF_A_STUDY, USERS], ids=lambda kind: kind.name)
def test_batches_are_the_table_in_pieces_of_one_size(
    kind: Any, server: DemoServer, make_sdk: MakeSDK, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orch_assets.imednet.endpoints.block_rows", lambda _columns: 50)
    endpoint = getattr(make_sdk(server, page_size=20), kind.name)
    stream = endpoint.batches(STUDY)
    assert stream.schema == endpoint.schema == arrow_schema(kind.model)
    batches = list(stream)
    table = endpoint.table(STUDY)
    assert [batch.num_rows for batch in batches] == [
        min(50, table.num_rows - start) for start in range(0, table.num_rows, 50)
    ]
    assert pa.Table.from_batches(batches, stream.schema).equals(table)
    facts = json.loads(table.schema.metadata[registry.METADATA_KEY])
    assert facts == {
        "endpoint": f"/studies/{STUDY}/{kind.path}",
        "study_key": STUDY,
        "expected": table.num_rows,
        "arrived": table.num_rows,
    }
    assert vars(stream.counts) == {
        "expected": table.num_rows,
        "arrived": table.num_rows,
        "pages": -(-table.num_rows // 20),
        "retries": 0,
        "replaced_surrogates": 0,
    }


def test_studies_come_in_the_registrys_order(server: DemoServer, make_sdk: MakeSDK) -> None:
    sdk = make_sdk(server)
    assert [study.study_key for study in sdk.studies.list()] == server.registry.study_keys()
    assert sdk.studies.table().column("study_key").to_pylist() == server.registry.study_keys()
    (one,) = sdk.studies.list(study_key="CARD-202")
    assert one == read_row(STUDIES.model, server.registry.rows("studies")[1])


def test_users_come_with_their_roles_and_inactive_ones_when_asked(
    server: DemoServer, make_sdk: MakeSDK
) -> None:
    sdk = make_sdk(server)
    everybody = list(sdk.users.list(STUDY, include_inactive=True))
    active = list(sdk.users.list(STUDY))
    assert len(everybody) == len(server.registry.rows("users", STUDY)) > len(active) > 0
    assert {user.user_id for user in active} < {user.user_id for user in everybody}
    role = next(role for user in active for role in user.roles or [])
    assert role.date_created is not None
    assert role.date_created.utcoffset() is not None


def test_filters_reach_the_registry(server: DemoServer, make_sdk: MakeSDK) -> None:
    sdk = make_sdk(server)
    records = list(sdk.records.list(STUDY))
    forms = sorted({record.form_key or "" for record in records})[:2]
    some = [record for record in records if record.form_key in forms]
    assert 0 < len(some) < len(records)
    assert list(sdk.records.list(STUDY, form_key=forms)) == some
    middle = records[len(records) // 2].date_modified
    assert list(sdk.records.list(STUDY, date_modified=(">", middle), deleted=False)) == [
        record
        for record in records
        if not record.deleted and record.date_modified and record.date_modified > middle
    ]
    name, value = next(
        (name, value)
        for record in records
        for name, value in (record.record_data or {}).items()
        if isinstance(value, str) and value.isalpha()
    )
    assert list(sdk.records.list(STUDY, record_data_filter=f"{name}=={value}")) == [
        record for record in records if (record.record_data or {}).get(name) == value
    ]


def test_a_filter_that_selects_nothing_gives_no_rows(server: DemoServer, make_sdk: MakeSDK) -> None:
    sdk = make_sdk(server)
    assert list(sdk.records.list(STUDY, record_id=-1)) == []
    (batch,) = sdk.records.batches(STUDY, record_id=-1)
    assert (batch.num_rows, batch.schema) == (0, arrow_schema(RECORDS.model))
    assert sdk.records.table(STUDY, record_id=-1).schema.equals(arrow_schema(RECORDS.model))


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda sdk: sdk.subjects.list(STUDY, subject="A"), TypeError),
        (lambda sdk: sdk.subjects.list(STUDY, keywords="A"), TypeError),
        (lambda sdk: sdk.subjects.list(STUDY, record_data_filter="a==1"), TypeError),
        (lambda sdk: sdk.records.list(STUDY, record_data="A"), TypeError),
        (lambda sdk: sdk.records.list(STUDY, record_data_filter=5), TypeError),
        (lambda sdk: sdk.users.table(STUDY, login="A"), TypeError),
        (lambda sdk: sdk.users.list(STUDY, include_inactive="yes"), TypeError),
        (lambda sdk: sdk.records.batches(STUDY, form_key=["A"], site_id=1), ValueError),
        (lambda sdk: sdk.records.batches(STUDY, form_key=[]), ValueError),
        (lambda sdk: sdk.subjects.list(), TypeError),
        (lambda sdk: sdk.subjects.table("a/b"), StudyKeyError),
        (lambda sdk: sdk.subjects.list(".."), StudyKeyError),
        (lambda sdk: sdk.jobs.get(None, "b"), TypeError),
        (lambda sdk: sdk.jobs.get(STUDY, ".."), ValueError),
    ],
)
def test_a_wrong_question_is_refused_before_any_request(
    ask: Any, error: type[Exception], server: DemoServer, make_sdk: MakeSDK
) -> None:
    with pytest.raises(error):
        ask(make_sdk(server))
    assert server.traffic.log == []


def test_the_study_may_come_from_the_context(server: DemoServer, make_sdk: MakeSDK) -> None:
    sdk = make_sdk(server)
    with study_context("CARD-202"):
        sites = list(sdk.sites.list())
        assert len(list(sdk.studies.list())) == 3
        assert list(sdk.sites.list(STUDY)) != sites
    assert {site.study_key for site in sites} == {"CARD-202"}


@pytest.mark.parametrize("key", ["A B", "50%", "a?b#c", "é漢", "..a", "%2e%2e", "a&b=c+d", "A;b"])
def test_any_study_key_is_one_segment_of_the_path(
    key: str, busy_server: DemoServer, make_sdk: MakeSDK
) -> None:
    busy_server.registry.add_study(key, subjects=3)
    sdk = make_sdk(busy_server)
    assert {subject.study_key for subject in sdk.subjects.list(key)} == {key}
    assert busy_server.traffic.log[-1].path.endswith(f"/studies/{quote(key, safe='')}/subjects")


def test_jobs(server: DemoServer, make_sdk: MakeSDK) -> None:
    sdk = make_sdk(server)
    theirs = server.registry.rows("jobs", STUDY)[0]
    assert sdk.jobs.get(STUDY, theirs["batchId"]) == read_row(Job, theirs)
    with study_context(STUDY):
        assert sdk.jobs.get(None, theirs["batchId"]).batch_id == theirs["batchId"]
    with pytest.raises(RegistryRefusedError) as caught:
        sdk.jobs.get(STUDY, "no such/batch")
    assert caught.value.endpoint == f"/studies/{STUDY}/jobs/no%20such%2Fbatch"
    assert (caught.value.status, caught.value.page) == (404, None)


def test_wrong_keys_are_refused_at_once(server: DemoServer) -> None:
    with (
        ImednetSDK("wrong", "keys", server.base_url) as sdk,
        pytest.raises(RegistryRefusedError, match="IMEDNET_API_KEY") as caught,
    ):
        list(sdk.studies.list())
    assert (caught.value.status, caught.value.code) == (401, "9001")
    assert len(server.traffic.log) == 1


def test_unknown_and_forbidden_studies_are_refused_at_once(
    busy_server: DemoServer, make_sdk: MakeSDK
) -> None:
    sdk = make_sdk(busy_server)
    busy_server.registry.forbid_study(STUDY)
    for key, status in ((STUDY, 403), ("NO-1", 404)):
        with pytest.raises(RegistryRefusedError) as caught:
            sdk.sites.table(key)
        assert (caught.value.study_key, caught.value.status) == (key, status)
    assert len(busy_server.traffic.log) == 2


def test_one_sdk_serves_many_threads_within_its_limit(
    server: DemoServer, make_sdk: MakeSDK
) -> None:
    limiter = RequestLimiter(3)
    sdk = make_sdk(server, page_size=40, limiter=limiter)
    expected = {
        (study, kind.name): len(server.registry.rows(kind.path, study))
        for study in server.registry.study_keys()
        for kind in (RECORDS, VISITS, RECORD_REVISIONS)
    }
    server.faults.add(Fault("delay", seconds=0.005))
    arrived: dict[tuple[str, str], int] = {}

    def work(study: str, name: str) -> None:
        arrived[study, name] = getattr(sdk, name).table(study).num_rows

    threads = [threading.Thread(target=work, args=pair) for pair in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert arrived == expected
    assert 1 < server.traffic.max_in_flight <= 3
    assert limiter.in_flight == 0


def test_a_stream_reads_no_further_than_its_window(server: DemoServer, make_sdk: MakeSDK) -> None:
    """One page is held back, and four are ready for each page in progress."""
    sdk = make_sdk(server, page_size=1, window=3)
    with sdk.record_revisions.list(STUDY) as rows:
        next(rows)
        time.sleep(0.3)
    assert len(server.traffic.log) <= 2 + 3 * 4
    assert list(rows) == []


def test_a_closed_sdk_says_so(server: DemoServer, make_sdk: MakeSDK) -> None:
    sdk = make_sdk(server)
    sdk.close()
    sdk.close()
    with pytest.raises(ImednetError, match="closed"):
        list(sdk.studies.list())


def test_a_client_that_was_given_stays_open(server: DemoServer) -> None:
    with httpx.Client() as client:
        with ImednetSDK(server.api_key, server.security_key, server.base_url, client=client) as sdk:
            assert len(list(sdk.studies.list())) == 3
        assert not client.is_closed


def test_what_a_client_that_was_given_adds_is_sent(server: DemoServer) -> None:
    seen: list[httpx.Request] = []
    client = httpx.Client(
        headers={"user-agent": "sponsor", "accept": "text/html"},
        params={"tenant": "4"},
        cookies={"gateway": "open"},
        event_hooks={"request": [seen.append]},
    )
    keys = (server.api_key, server.security_key, server.base_url)
    with client, ImednetSDK(*keys, client=client) as sdk:
        assert len(list(sdk.studies.list())) == 3
    (request,) = seen
    assert request.url.params["tenant"] == "4"
    assert request.headers["cookie"] == "gateway=open"
    assert request.headers["user-agent"] == "sponsor"
    assert request.headers.get_list("accept") == ["application/json"]


def test_a_reading_left_open_does_not_keep_the_interpreter(server: DemoServer) -> None:
    code = f"""
from orch_assets.imednet import ImednetSDK
sdk = ImednetSDK({server.api_key!r}, {server.security_key!r}, {server.base_url!r}, page_size=2)
rows = sdk.record_revisions.list({STUDY!r})
print(next(rows).study_key)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert (done.stdout, done.stderr) == (f"{STUDY}\n", "")


def test_importing_the_package_is_cheap() -> None:
    code = (
        "import sys, orch_assets.imednet\n"
        "assert not {'httpx', 'msgspec', 'pyarrow', 'pandas', 'tenacity'} & set(sys.modules)\n"
        "orch_assets.imednet.ImednetSDK\n"
        "assert not {'pyarrow', 'pandas', 'dagster'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_public_names_are_exactly_these() -> None:
    assert sorted(registry.__all__) == sorted(registry._HOMES)
    for name in registry.__all__:
        assert getattr(registry, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        registry.Nothing  # noqa: B018


def test_a_study_that_was_given_up_sends_no_more_requests(
    server: DemoServer, make_sdk: MakeSDK
) -> None:
    """Its thread may still run, but its requests belong to other studies."""
    sdk = make_sdk(server)
    lease = PublishingLease()
    with study_context(STUDY, lease=lease):
        sdk.subjects.table()
        lease.revoke()
        before = len(server.traffic.log)
        with pytest.raises(StudyCancelledError):
            sdk.subjects.table()
    assert len(server.traffic.log) == before
