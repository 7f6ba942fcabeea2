"""Lengths of time as people write them."""

from datetime import UTC, datetime, timedelta

import pytest

from orch_assets.defs import environment
from orch_assets.errors import SettingError
from orch_assets.orchestration.durations import age_hours, as_text, parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("10m", timedelta(minutes=10)),
        (" 36 H ", timedelta(hours=36)),
        ("1.5d", timedelta(hours=36)),
        ("2w", timedelta(days=14)),
    ],
)
def test_a_number_and_a_unit_are_a_length_of_time(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "36", "h", "0h", "-1h", "1 month", "1h30m", "999999999w"])
def test_anything_else_is_refused_with_examples(text, monkeypatch):
    with pytest.raises(ValueError, match="90s, 10m, 36h"):
        parse_duration(text)
    monkeypatch.setenv("ORCH_STALE_AFTER", text)
    if text:
        with pytest.raises(SettingError, match="ORCH_STALE_AFTER is"):
            environment.duration("ORCH_STALE_AFTER")


def test_an_unset_variable_is_no_length_of_time(monkeypatch):
    monkeypatch.delenv("ORCH_STALE_AFTER", raising=False)
    assert environment.duration("ORCH_STALE_AFTER") is None


def test_a_length_is_shown_in_its_largest_unit():
    shown = [as_text(timedelta(**{unit: 36})) for unit in ("seconds", "minutes", "hours", "days")]
    assert shown == ["36 s", "36 min", "36 h", "36 d"]
    assert as_text(timedelta(hours=48)) == "2 d"


def test_an_age_is_in_hours_and_never_negative():
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert age_hours(now - timedelta(minutes=90), now) == 1.5
    assert age_hours(now + timedelta(minutes=90), now) == 0.0
