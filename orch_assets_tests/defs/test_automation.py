"""What Dagster starts by itself: what stays missing, and nothing twice."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from orch_assets import study_pipeline
from orch_assets_tests.support.harness import definitions, evaluate, execute, instance

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
