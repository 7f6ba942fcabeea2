"""ORCH_OVERLAP and ORCH_FULL_EVERY."""

from datetime import UTC, datetime, timedelta

import pytest

from orch_assets.errors import SettingError
from orch_assets.imednet.refresh.refresh_settings import RefreshSettings
from orch_assets.imednet.refresh.table_state import before
from orch_assets_tests.imednet.refresh.conftest import STUDY, Account


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ORCH_OVERLAP", "ORCH_FULL_EVERY"):
        monkeypatch.delenv(name, raising=False)


def test_the_defaults_are_an_hour_and_a_week(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = RefreshSettings(timedelta(hours=1), timedelta(days=7))
    assert RefreshSettings.read() == expected
    monkeypatch.setenv("ORCH_OVERLAP", " ")
    assert RefreshSettings.read() == expected


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCH_OVERLAP", "60")
    monkeypatch.setenv("ORCH_FULL_EVERY", "0")
    assert RefreshSettings.read() == RefreshSettings(timedelta(minutes=1), timedelta(0))
    assert RefreshSettings.read(5, 1) == RefreshSettings(timedelta(seconds=5), timedelta(days=1))


@pytest.mark.parametrize("text", ["-1", "1.5", "an hour", "12345678"])
@pytest.mark.parametrize("name", ["ORCH_OVERLAP", "ORCH_FULL_EVERY"])
def test_anything_but_a_whole_number_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(SettingError, match=f"{name} must be a whole number of"):
        RefreshSettings.read()


def test_the_overlap_is_what_is_asked_for(account: Account) -> None:
    refresher = account.refresher(overlap=7200)
    state = refresher.run("records")["records"].parts[0].state
    assert (state["watermark"], state["since"]) == (
        "2025-06-30T12:00:00Z",
        "2025-06-30T10:00:00Z",
    )


@pytest.mark.parametrize("overlap", [60, 36000])
def test_another_overlap_than_before_is_used_from_the_next_refresh_on(
    account: Account, overlap: int
) -> None:
    first = account.refresher().run("records")
    account.registry.live_day()
    refresher = account.refresher(overlap=overlap)
    again = refresher.run("records", previous=first)
    refresher.assert_whole("records", again["records"])
    assert again["records"].changes.reading == "counted"
    assert refresher.run("records", previous=again)["records"].unchanged
    assert STUDY in account.registry.study_keys()


def test_a_moment_before_the_first_one_is_the_first_one() -> None:
    first = before(before(_moment("0001-01-01"), timedelta(0)), timedelta(days=1))
    assert first == _moment("0001-01-01")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
