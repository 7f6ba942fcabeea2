"""Where the processes of an account share its request limit: settings, instance and check."""

from pathlib import Path

import dagster as dg
import pytest

from orch_assets.defs.resources import RegistryResource
from orch_assets.defs.settings.request_slots import describe, refuse_unfit, request_slots
from orch_assets.errors import SettingError
from orch_assets.imednet.request_limits import FileSlots, PostgresSlots, RedisSlots
from orch_assets.imednet.request_limits.account_limiters import limiter_for
from orch_assets.imednet.settings import RegistrySettings
from orch_assets_tests.support.processes import free_port

KEYS = {"kind": "imednet", "api_key": "chosen", "security_key": "s"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ORCH_REQUEST_LIMITER", raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


def test_by_default_the_files_in_the_home_if_there_is_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert request_slots(None, None) == FileSlots(home)
    monkeypatch.delenv("DAGSTER_HOME")
    assert request_slots(None, None) is None


@pytest.mark.parametrize(
    ("runs", "processes"), [({"max_concurrent_runs": 7}, 7), ({"max_concurrent_runs": -1}, 4)]
)
def test_the_share_is_that_of_the_runs_that_may_execute_at_once(
    runs: dict[str, int], processes: int
) -> None:
    with dg.instance_for_test({"concurrency": {"runs": runs}}) as instance:
        place = request_slots("files", instance)
        assert place is not None
        assert place.processes == processes


def test_what_the_setting_names_is_used(home: Path) -> None:
    assert request_slots("none", None) is None
    assert request_slots("files", None) == FileSlots(home)
    for url in ("redis://h:1/0", "rediss://h:1/0"):
        assert request_slots(url, None) == RedisSlots(url)
    for url in ("postgresql://h/d", "postgres://h/d", "postgresql+psycopg2://h/d"):
        assert request_slots(url, None) == PostgresSlots(url)


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("postgres", "ORCH_REQUEST_LIMITER is postgres, which needs an instance in Postgres."),
        ("files", "ORCH_REQUEST_LIMITER is files, which needs DAGSTER_HOME."),
        ("mysql://me:planted@h/d", "ORCH_REQUEST_LIMITER must be redis://"),
        ("redis", "ORCH_REQUEST_LIMITER must be redis://"),
        ("redis://me:planted@h:port/0", "The URL of Redis can't be read."),
    ],
)
def test_what_cannot_be_used_is_refused_without_its_password(
    setting: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME")
    with pytest.raises(SettingError, match=problem) as caught:
        request_slots(setting, None)
    assert "planted" not in str(caught.value)


def test_a_place_that_is_away_is_wrong_in_a_check_and_no_error_in_a_run() -> None:
    place = RedisSlots(f"redis://me:planted@127.0.0.1:{free_port()}/0")
    refuse_unfit(place)
    with pytest.raises(SettingError, match=r"ORCH_REQUEST_LIMITER \(leases in Redis\) can't"):
        describe(place)


def test_a_check_says_which_limit_is_in_force(home: Path) -> None:
    files = describe(request_slots("files", None))
    assert files == f"one for all processes, by files in {home}/request_limits"
    assert describe(None) == "of each process alone"


def test_the_resource_shares_the_limit_in_its_home_and_the_simulator_none(home: Path) -> None:
    with (
        dg.instance_for_test() as instance,
        dg.build_resources({"registry": RegistryResource(**KEYS)}, instance=instance) as resources,
    ):
        assert resources.registry.sdk.base_url
        with limiter_for(RegistrySettings.read("chosen", "s")).slot():
            locked = list(Path(instance.root_directory).rglob("slot-*"))
            assert len(locked) == 8
    assert list(home.iterdir()) == []
    assert RegistryResource(kind="demo").request_slots() is None


def test_the_field_of_the_resource_comes_before_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ORCH_REQUEST_LIMITER", "none")
    resource = RegistryResource(**KEYS, request_limiter="redis://me:planted@h:1/0")
    assert resource.request_slots() == RedisSlots("redis://me:planted@h:1/0")
    assert "planted" not in repr(resource)
