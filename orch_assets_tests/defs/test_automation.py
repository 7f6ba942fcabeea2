"""What Dagster starts by itself: what stays missing, and nothing twice."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from orch_assets import study_pipeline
from orch_assets.defs.runs import first_runs
from orch_assets.defs.runs.first_runs import SensorMemory
from orch_assets_tests.defs.test_first_runs import state_of
from orch_assets_tests.support.harness import definitions, evaluate, execute, instance
from orch_assets_tests.support.statements import counted_statements

NOON = datetime(2026, 3, 2, 12, 1, tzinfo=UTC)


@study_pipeline
def raw(study_key, sdk, study_logger):
    if study_key == "BAD":
        raise ValueError


@study_pipeline(on_request=True)
def users(study_key, sdk, study_logger):
    pass


class Clock:
    """Evaluates the conditions minute after minute."""

    def __init__(self, defs, real):
        self.defs, self.real, self.cursor, self.now = defs, real, None, NOON

    def requested_within(self, minutes):
        """Return what is requested in each minute that follows, by minute."""
        found = {}
        for minute in range(minutes):
            result = evaluate(self.defs, self.real, self.cursor, self.now)
            self.cursor, self.now = result.cursor, self.now + timedelta(minutes=1)
            keys = result.get_requested_partitions(dg.AssetKey("raw"))
            assert not result.get_requested_partitions(dg.AssetKey("users"))
            if keys:
                found[minute] = keys
        return found


def test_a_study_that_stays_missing_is_requested_after_its_grace_period(tmp_path):
    with instance("OLD") as real:
        clock = Clock(definitions(tmp_path, raw, users), real)
        (minute,) = requested = clock.requested_within(17)
        assert requested[minute] == {"OLD"}
        assert 5 <= minute <= 15
        assert list(clock.requested_within(10).values()) == [{"OLD"}], "asked for again, if lost"
        real.add_dynamic_partitions("studies", ["NEW-1", "NEW-2"])
        (minute,) = requested = {
            minute: keys & {"NEW-1", "NEW-2"}
            for minute, keys in clock.requested_within(17).items()
            if keys & {"NEW-1", "NEW-2"}
        }
        assert requested[minute] == {"NEW-1", "NEW-2"}
        assert 5 <= minute <= 15


def test_a_study_that_its_sensor_started_is_not_requested(tmp_path):
    with instance() as real:
        defs = definitions(tmp_path, raw, users)
        clock = Clock(defs, real)
        assert not clock.requested_within(3)
        real.add_dynamic_partitions("studies", ["NEW"])
        assert not clock.requested_within(5)
        execute(defs, real, "NEW", select=["raw"])
        assert not clock.requested_within(40)


def test_a_study_that_failed_stays_failed_until_somebody_runs_it(tmp_path):
    with instance("BAD", "GOOD") as real:
        defs = definitions(tmp_path, raw, users)
        clock = Clock(defs, real)
        clock.requested_within(1)
        execute(defs, real, "BAD", "GOOD", select=["raw"])
        assert not clock.requested_within(40)


def test_a_study_found_after_a_pause_of_the_daemon_still_has_its_grace_period(tmp_path):
    """Nobody looked when the clocks ticked; the second one may tick directly afterwards."""
    for pause in (timedelta(hours=1), timedelta(hours=1, minutes=1), timedelta(minutes=52)):
        with instance() as real:
            clock = Clock(definitions(tmp_path, raw, users), real)
            clock.requested_within(2)
            real.add_dynamic_partitions("studies", ["NEW"])
            clock.now += pause
            (minute,) = clock.requested_within(15)
            assert 5 <= minute <= 15


def test_the_event_log_is_read_only_when_a_clock_ticks(tmp_path):
    with instance("OLD", "FAILED") as real:
        defs = definitions(tmp_path, raw, users)
        execute(defs, real, "OLD", select=["raw"])
        clock = Clock(defs, real)
        clock.now += timedelta(seconds=30)  # at the full minute, Dagster counts a tick twice
        read = []
        for minute in range(1, 21):
            with counted_statements() as statements:
                clock.requested_within(1)
            if any("partition" in each and "FROM event_logs" in each for each in statements):
                read.append(minute)
    # At 12:10 and 12:20; at 12:15, because a study was found missing at 12:10.
    assert read == [10, 15, 20]


def test_first_runs_are_left_to_the_registry_sensor_while_it_is_running(tmp_path, monkeypatch):
    """As many new studies wait for it as it doesn't request in a quarter of an hour."""
    with instance("OLD", "NEW-1", "NEW-2") as real:
        memory = SensorMemory(begun="OLD", at=datetime.now(UTC).timestamp())
        real.add_instigator_state(state_of(memory.write()))
        clock = Clock(definitions(tmp_path, raw, users), real)
        assert list(clock.requested_within(17).values()) == [{"OLD"}]
        monkeypatch.setattr(first_runs, "_RECENT_SECONDS", 0.0)
        assert list(clock.requested_within(10).values()) == [{"OLD", "NEW-1", "NEW-2"}]
