"""Freshness for each study: what is stale, what is logged, and how many statements it takes."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from orch_assets.defs.alerts import freshness_tick
from orch_assets.defs.alerts.alert_sensors import build_freshness_sensor
from orch_assets.defs.alerts.stale_studies import stale_studies
from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets.errors import SettingError
from orch_assets_tests.defs.alerts.ticking import Daemon, Location
from orch_assets_tests.support.harness import execute, instance
from orch_assets_tests.support.statements import counted_statements

LABS = dg.AssetKey("labs")
DAY = timedelta(hours=24)


@pytest.fixture(autouse=True)
def _a_day(monkeypatch):
    monkeypatch.setenv("ORCH_STALE_AFTER", "24h")


@pytest.fixture
def location(tmp_path):
    return Location(tmp_path)


def stale(real, hours, key=LABS):
    now = datetime.now(UTC) + timedelta(hours=hours)
    return stale_studies(real, key, real.get_dynamic_partitions(STUDIES_NAME), DAY, now)


def shown(events):
    """Return what observations say: table, study, and the state or the number of stale studies."""
    return [
        (
            event.asset_key.to_user_string(),
            event.partition,
            (event.metadata.get("freshness") or event.metadata["stale_studies"]).value,
        )
        for event in events
    ]


def test_a_study_is_stale_when_its_last_success_is_too_old(location):
    with instance("S1", "S2", "S3") as real:
        execute(location.defs, real, "S1", "S2")
        assert stale(real, hours=23) == []
        assert stale(real, hours=25) == ["S1", "S2"]  # S3 never ran, so nobody waits for it


def test_a_failure_after_a_success_leaves_the_study_as_old_as_the_success(location):
    with instance("S1") as real:
        execute(location.defs, real, "S1")
        location.failing = {"S1": ValueError()}
        execute(location.defs, real, "S1")
        assert stale(real, hours=23) == []
        assert stale(real, hours=25) == ["S1"]


def test_a_study_that_never_succeeded_is_stale_from_its_first_failure_on(location, monkeypatch):
    location.failing = {"S1": ValueError(), "S2": ValueError()}
    with instance("S1", "S2") as real:
        execute(location.defs, real, "S1", "S2")
        execute(location.defs, real, "S1", "S2")
        assert stale(real, hours=23) == []
        monkeypatch.setattr("orch_assets.defs.alerts.stale_studies._PAGE", 1)
        assert stale(real, hours=25) == ["S1", "S2"]


def test_a_retired_study_and_a_fresh_success_among_old_ones_are_not_stale(location):
    with instance("S1", "S2") as real:
        execute(location.defs, real, "S1", "S2")
        between = datetime.now(UTC)
        execute(location.defs, real, "S2")
        real.add_dynamic_partitions(STUDIES_NAME, ["S3"])
        found = stale_studies(real, LABS, ["S1", "S2", "S3"], DAY, between + DAY)
        assert found == ["S1"]
        real.delete_dynamic_partition(STUDIES_NAME, "S1")
        assert stale(real, hours=23) == []


def test_a_skipped_study_is_as_fresh_as_its_skip(location):
    with instance("S1") as real:
        real.report_runless_asset_event(
            dg.AssetMaterialization(
                LABS,
                partition="S1",
                metadata={"status": "SUCCESS", "data": {"skipped": "no PK in this study"}},
            )
        )
        assert stale(real, hours=23) == []
        assert stale(real, hours=25) == ["S1"]


def test_a_change_is_one_observation_of_the_study_and_one_of_the_table(location):
    with instance("S1", "S2") as real:
        daemon = Daemon(real)
        execute(location.defs, real, "S1", "S2")
        assert daemon.look_for_stale() == []
        events = daemon.look_for_stale(hours=25)
        assert shown(events) == [
            ("labs", "S1", "stale"),
            ("labs", "S2", "stale"),
            ("visits", "S1", "stale"),
            ("visits", "S2", "stale"),
            ("labs", None, 2),
            ("visits", None, 2),
        ]
        table = events[-1].metadata["list"].value.splitlines()
        assert table[0] == "| study | last success | hours ago |"
        assert [line.rsplit("|", 2)[1].strip() for line in table[2:]] == ["25.0", "25.0"]
        assert daemon.look_for_stale(hours=1) == []  # nothing changed, so nothing is logged
        daemon.now -= 26 * 3600
        execute(location.defs, real, "S2")
        assert shown(daemon.look_for_stale(hours=1)) == [
            ("labs", "S1", "fresh"),
            ("labs", "S2", "fresh"),
            ("visits", "S1", "fresh"),
            ("visits", "S2", "fresh"),
            ("labs", None, 0),
            ("visits", None, 0),
        ]


def test_many_changes_are_logged_over_several_ticks(location, monkeypatch):
    monkeypatch.setattr(freshness_tick, "_EVENTS_PER_TICK", 3)
    with instance("S1", "S2") as real:
        daemon = Daemon(real)
        execute(location.defs, real, "S1", "S2")
        first = daemon.look_for_stale(hours=25)
        assert freshness_tick.FreshnessMemory.read(daemon.freshness).stale == {
            (study, table) for study in ("S1", "S2") for table in ("labs", "visits")
        }
        second = daemon.look_for_stale()
        states = [each for each in shown([*first, *second]) if each[1]]
        assert len(states) == len(set(states)) == 4
        assert daemon.look_for_stale() == []


def test_a_retired_study_is_logged_no_more(location):
    with instance("S1", "S2") as real:
        daemon = Daemon(real)
        execute(location.defs, real, "S1", "S2")
        daemon.look_for_stale(hours=25)
        real.delete_dynamic_partition(STUDIES_NAME, "S1")
        assert daemon.look_for_stale() == []


def test_our_observations_are_no_failures_of_studies(location):
    """A study that becomes stale stays materialized, and has the result that it had."""
    from orch_assets.defs.runs.recorded_results import new_entries

    with instance("S1") as real:
        daemon = Daemon(real)
        execute(location.defs, real, "S1")
        daemon.look_for_stale(hours=25)
        entries = [*new_entries(real, [LABS], ["S1"], [], 0)]
        assert [entry.status for entry in entries] == ["SUCCESS"]


def test_without_the_setting_the_sensor_skips_without_a_statement(monkeypatch):
    monkeypatch.delenv("ORCH_STALE_AFTER")
    sensor = build_freshness_sensor(["labs"])
    with (
        instance() as real,
        dg.build_sensor_context(instance=real, cursor="old") as context,
        counted_statements() as statements,
    ):
        result = sensor(context)
    assert result.skip_reason.skip_message == "ORCH_STALE_AFTER isn't set."
    assert (result.cursor, statements) == ("", [])


def test_a_wrong_setting_is_named(monkeypatch):
    monkeypatch.setenv("ORCH_STALE_AFTER", "soon")
    with instance() as real, pytest.raises(SettingError, match="ORCH_STALE_AFTER is 'soon'"):
        Daemon(real).look_for_stale()


def test_the_statements_do_not_grow_with_the_studies(location):
    """Two for each table, besides Dagster's own look-ups of the asset, however many there are."""
    counts = []
    for studies in (["S1", "S2"], [f"S{number}" for number in range(40)]):
        with instance(*studies) as real:
            execute(location.defs, real, studies[0], studies[-1])
            daemon = Daemon(real)
            daemon.look_for_stale()
            with counted_statements() as found:
                daemon.freshness_only(hours=1)
            counts.append(sum(each.startswith("SELECT") for each in found))
    assert counts[0] == counts[1] <= 9
