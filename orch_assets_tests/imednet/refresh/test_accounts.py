"""A stored table is merged and replaced only by what was read from the same account."""

from threading import Event
from typing import Any

import httpx
import pytest

from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.errors import OtherRegistryError, StudyNotFoundError
from orch_assets.imednet.refresh.account_reader import AccountReader
from orch_assets.study import study_context
from orch_assets_tests.imednet.conftest import MakeSDK
from orch_assets_tests.imednet.refresh.conftest import PAGE, STUDY, Account
from orch_assets_tests.imednet.refresh.stored import Refresher, Result


def refresher_of(make_sdk: MakeSDK, server: DemoServer, **options: Any) -> Refresher:
    return Refresher(make_sdk(server, page_size=PAGE, **options), STUDY)


@pytest.fixture
def other(make_sdk: MakeSDK) -> Any:
    """Another account with a study of the same key."""
    registry = DemoRegistry(studies=2, subjects=1)
    registry.add_study(STUDY, subjects=2)
    with DemoServer(registry) as server:
        yield server


@pytest.mark.parametrize("name", ["records", "sites", "codings"])
def test_another_account_at_the_same_registry_is_refused(
    account: Account, other: DemoServer, make_sdk: MakeSDK, name: str
) -> None:
    first = account.refresher().run(name)
    with pytest.raises(OtherRegistryError) as raised:
        refresher_of(make_sdk, other, registry_name="demo").run(name, previous=first)
    assert (raised.value.study_key, raised.value.table) == (STUDY, name)
    assert raised.value.differs == "account"
    assert "--accept-other-registry" in str(raised.value)


def test_another_registry_is_refused_without_a_name_by_its_base_url(
    account: Account, other: DemoServer, make_sdk: MakeSDK
) -> None:
    first = refresher_of(make_sdk, account.server).run("records")
    assert first["records"].parts[0].state["registry"] == account.server.base_url
    with pytest.raises(OtherRegistryError) as raised:
        refresher_of(make_sdk, other).run("records", previous=first)
    assert raised.value.differs == "registry"


class StudiesAnsweredLate(httpx.HTTPTransport):
    """Sends no request for the list of studies before it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = Event()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/studies"):
            assert self.may.wait(timeout=30)
        return super().handle_request(request)


def test_the_rows_of_a_first_run_do_not_wait_for_the_list_of_studies(account: Account) -> None:
    transport = StudiesAnsweredLate()
    sdk = account.refresher(transport=transport).sdk
    stream = sdk.records.refresh(STUDY)
    assert next(stream).num_rows
    assert account.requests()
    transport.may.set()
    list(stream)
    assert stream.refresh is not None
    assert stream.refresh.state()["study"]


def test_a_refusal_tells_neither_digest_nor_key(
    account: Account, other: DemoServer, make_sdk: MakeSDK
) -> None:
    first = account.refresher().run("records")
    with pytest.raises(OtherRegistryError) as raised:
        refresher_of(make_sdk, other, registry_name="demo").run("records", previous=first)
    hidden = {other.api_key, other.security_key, first["records"].parts[0].state["study"]}
    assert not [each for each in hidden if each in str(raised.value)]


def test_a_table_of_another_account_is_replaced_as_a_whole_if_that_is_accepted(
    account: Account, other: DemoServer, make_sdk: MakeSDK
) -> None:
    first = account.refresher().run("records")
    refresher = refresher_of(make_sdk, other, registry_name="demo")
    again = refresher.run("records", previous=first, accept_other_registry=True)["records"]
    refresher.assert_whole("records", again)
    assert again.changes.reason == "it replaces a table of another account"
    assert [refresh.earlier for refresh in again.refreshes] == [None, None]
    assert again.changes.new == again.parts[0].num_rows
    assert refresher.run("records", previous={"records": again})["records"].unchanged


def test_accepting_another_account_changes_nothing_for_the_same_one(account: Account) -> None:
    refresher = account.refresher()
    first = refresher.run("records")
    again = refresher.run("records", previous=first, accept_other_registry=True)
    assert again["records"].unchanged


def test_an_odd_state_does_not_open_the_door_to_another_account(
    account: Account, other: DemoServer, make_sdk: MakeSDK
) -> None:
    first = account.refresher().run("records")
    part = first["records"].parts[0]
    part.state = {**part.state, "rule": "unreadable"}
    with pytest.raises(OtherRegistryError):
        refresher_of(make_sdk, other, registry_name="demo").run("records", previous=first)


def test_a_withheld_part_of_another_account_is_refused_too(
    account: Account, other: DemoServer, make_sdk: MakeSDK
) -> None:
    """Two accounts may share the restricted store by mistake."""
    ours = account.refresher().run("records")["records"]
    theirs = refresher_of(make_sdk, other, registry_name="demo").run("records")["records"]
    mixed = Result([ours.parts[0], theirs.parts[1]], ())
    with pytest.raises(OtherRegistryError):
        account.refresher().run("records", previous={"records": mixed})


def test_a_study_that_the_account_does_not_list_is_an_error(account: Account) -> None:
    refresher = account.refresher()
    account.registry.hide_study(STUDY)
    with pytest.raises(StudyNotFoundError):
        refresher.run("sites")


def test_the_list_is_read_once_for_each_run_and_again_for_a_study_that_it_lacks() -> None:
    registry = DemoRegistry(studies=2, subjects=1)
    readings = []

    def studies() -> Any:
        readings.append(1)
        return [_Study(key) for key in registry.study_keys()]

    reader = AccountReader(studies)
    one, two = registry.study_keys()
    for run, key, expected in [("a", one, 1), ("a", two, 1), ("b", one, 2), ("b", one, 2)]:
        with study_context(key, provenance={"run": run}):
            assert reader.digest(key)
        assert len(readings) == expected
    registry.add_study("NEW")
    with study_context("NEW", provenance={"run": "b"}):
        assert reader.digest("NEW") != reader.digest(one)
    assert len(readings) == 3
    assert reader.digest(one) == reader.digest(one)
    assert len(readings) == 5  # outside a run, nothing is kept


class _Study:
    def __init__(self, key: str) -> None:
        self.study_key, self.study_id, self.sponsor_key = key, hash(key), None
        self.date_created = None
