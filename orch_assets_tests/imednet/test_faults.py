"""Any fault of the API results in a whole table or an error of the right class."""

from typing import Any, get_args

import pytest

from orch_assets.demo import DemoRegistry, DemoServer, Fault
from orch_assets.demo.faults import FaultKind
from orch_assets.errors import (
    IncompleteTableError,
    RegistryDataError,
    RegistryError,
    RegistryFailedError,
    RegistryRefusedError,
    RegistryUnreachableError,
)
from orch_assets_tests.imednet.conftest import MakeSDK

STUDY = "ONC-301"
SIZE = 4

ALWAYS: dict[str, type[RegistryError] | None] = {
    "status": RegistryFailedError,
    "delay": RegistryUnreachableError,
    "reset": RegistryUnreachableError,
    "cut": RegistryUnreachableError,
    "html": RegistryDataError,
    "content_type": None,  # the right rows under a wrong name are still the right rows
    "error_envelope": RegistryRefusedError,
    "wrong_page": IncompleteTableError,
    "repeated_page": IncompleteTableError,
    "empty": IncompleteTableError,
    "missing": RegistryDataError,
    "shrunk": IncompleteTableError,
    "other_study": RegistryDataError,
}


def test_every_kind_of_fault_is_tried() -> None:
    assert set(ALWAYS) == set(get_args(FaultKind))


def last_page(server: DemoServer) -> int:
    return (len(server.registry.rows("subjects", STUDY)) - 1) // SIZE


@pytest.fixture
def whole(server: DemoServer) -> list[int]:
    assert last_page(server) > 2
    return [row["subjectId"] for row in server.registry.rows("subjects", STUDY)]


def fault(kind: Any, server: DemoServer, where: str, times: int | None) -> Fault:
    page = {"first": 0, "middle": 1, "last": last_page(server), "every": None}[where]
    return Fault(kind, endpoint="subjects", page=page, times=times, seconds=2.0)


def ids_of_batches(endpoint: Any) -> list[int]:
    return [one for batch in endpoint.batches(STUDY) for one in batch["subject_id"].to_pylist()]


READERS: dict[str, Any] = {
    "list": lambda endpoint: [row.subject_id for row in endpoint.list(STUDY)],
    "batches": ids_of_batches,
    "table": lambda endpoint: endpoint.table(STUDY)["subject_id"].to_pylist(),
}


@pytest.mark.parametrize("where", ["first", "middle", "last"])
@pytest.mark.parametrize("kind", ALWAYS)
def test_a_fault_that_happens_once_costs_no_row(
    kind: str, where: str, server: DemoServer, whole: list[int], make_sdk: MakeSDK
) -> None:
    timeout = 0.3 if kind == "delay" else 10
    for name, reader in READERS.items():
        sdk = make_sdk(server, page_size=SIZE, timeout=timeout)
        server.faults.add(fault(kind, server, where, times=1))
        assert reader(sdk.subjects) == whole, name
        assert server.faults.active == []


@pytest.mark.parametrize("where", ["first", "middle", "last", "every"])
@pytest.mark.parametrize("kind", ALWAYS)
def test_a_fault_that_stays_is_an_error_and_never_a_short_table(
    kind: str, where: str, server: DemoServer, whole: list[int], make_sdk: MakeSDK
) -> None:
    timeout = 0.2 if kind == "delay" else 10
    sdk = make_sdk(server, page_size=SIZE, timeout=timeout, attempts=2)
    server.faults.add(fault(kind, server, where, times=None))
    for name, reader in READERS.items():
        if kind == "delay" and name != "table":
            continue  # it is slow, and the way is the same
        expected = ALWAYS[kind]
        if expected is None or (kind, where) == ("repeated_page", "first"):
            assert reader(sdk.subjects) == whole
            continue
        with pytest.raises(expected) as caught:
            reader(sdk.subjects)
        error: Any = caught.value
        assert type(error) is expected, name
        assert (error.endpoint, error.study_key) == (f"/studies/{STUDY}/subjects", STUDY)
        assert isinstance(error.page, int)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_passing_statuses_are_tried_again(
    status: int, server: DemoServer, make_sdk: MakeSDK
) -> None:
    sdk = make_sdk(server)
    server.faults.add(Fault("status", status=status, times=4))
    rows = sdk.sites.list(STUDY)
    assert len(list(rows)) == len(server.registry.rows("sites", STUDY))
    assert rows.counts.retries == 4
    server.faults.add(Fault("status", status=status))
    with pytest.raises(RegistryFailedError, match=f"HTTP {status}, code 9000") as caught:
        list(sdk.sites.list(STUDY))
    assert (caught.value.status, caught.value.code) == (status, "9000")
    assert len(server.traffic.log) == 10


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 422])
def test_refusals_are_not_tried_again(status: int, server: DemoServer, make_sdk: MakeSDK) -> None:
    server.faults.add(Fault("status", status=status))
    with pytest.raises(RegistryRefusedError) as caught:
        make_sdk(server).sites.table(STUDY)
    assert (caught.value.status, caught.value.page) == (status, 0)
    assert len(server.traffic.log) == 1


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_row_that_is_added_while_paging_is_no_gap(
    after: int, reader: str, busy_server: DemoServer, make_sdk: MakeSDK
) -> None:
    registry = busy_server.registry
    before = [row["subjectId"] for row in registry.rows("subjects", STUDY)]
    new = {**registry.rows("subjects", STUDY)[-1], "subjectId": before[-1] + 1}

    def add(changed: DemoRegistry) -> None:
        changed.insert_row("subjects", STUDY, new)

    registry.after_page("subjects", after, add)
    ids = READERS[reader](make_sdk(busy_server, page_size=SIZE).subjects)
    assert ids in (before, [*before, new["subjectId"]])


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("which", [0, 5, -1])
def test_a_row_that_vanishes_while_paging_takes_no_other_with_it(
    which: int, after: int, reader: str, busy_server: DemoServer, make_sdk: MakeSDK
) -> None:
    registry = busy_server.registry
    before = [row["subjectId"] for row in registry.rows("subjects", STUDY)]
    gone = before[which]

    def remove(changed: DemoRegistry) -> None:
        changed.delete_row("subjects", STUDY, gone)

    registry.after_page("subjects", after, remove)
    try:
        ids = READERS[reader](make_sdk(busy_server, page_size=SIZE).subjects)
    except IncompleteTableError:
        assert reader != "table"  # a stream can't take back what it gave
        return
    assert ids in (before, [one for one in before if one != gone])


def test_a_field_of_another_type_names_endpoint_page_and_field(
    busy_server: DemoServer, make_sdk: MakeSDK
) -> None:
    registry = busy_server.registry
    row = registry.rows("subjects", STUDY)[6]
    registry.update_row("subjects", STUDY, row["subjectId"], siteId="planted-value")
    sdk = make_sdk(busy_server, page_size=SIZE)
    for reader in READERS.values():
        with pytest.raises(RegistryDataError, match="siteId isn't a whole number") as caught:
            reader(sdk.subjects)
        assert (caught.value.page, caught.value.study_key) == (1, STUDY)
        assert "planted" not in str(caught.value)


def test_unknown_fields_are_kept(busy_server: DemoServer, make_sdk: MakeSDK) -> None:
    registry = busy_server.registry
    row = registry.rows("sites", STUDY)[0]
    registry.update_row("sites", STUDY, row["siteId"], timeZone="Mitteleuropäisch", beds=7)
    sdk = make_sdk(busy_server)
    site, *others = sdk.sites.list(STUDY)
    assert site.extra == {"timeZone": "Mitteleuropäisch", "beds": 7}
    assert [one.extra for one in others] == [{}] * len(others)
    extra = sdk.sites.table(STUDY)["extra"].to_pylist()
    assert extra == ['{"timeZone":"Mitteleuropäisch","beds":7}', *[None] * len(others)]
