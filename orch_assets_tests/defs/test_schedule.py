"""The daily refresh: every study, in one run or in runs of n."""

from datetime import UTC, datetime

import dagster as dg

from orch_assets.defs.partitions import range_tags
from orch_assets.defs.schedule import build_daily_refresh
from orch_assets_tests.support.harness import instance

FIVE = datetime(2026, 3, 2, 5, 0, tzinfo=UTC)


def refresh(real, **options):
    schedule = build_daily_refresh(dg.define_asset_job("all", selection="*"), **options)
    context = dg.build_schedule_context(instance=real, scheduled_execution_time=FIVE)
    return schedule(context)


def test_all_studies_are_one_run_a_day():
    with instance("S1", "S2", "S3") as real:
        (request,) = refresh(real)
    assert request.tags == range_tags("S1", "S3")
    assert request.run_key.startswith("2026-03-02")


def test_or_runs_of_n_studies():
    with instance("S1", "S2", "S3") as real:
        requests = refresh(real, per_run=2)
    assert [request.tags for request in requests] == [
        range_tags("S1", "S2"),
        range_tags("S3", "S3"),
    ]
    assert len({request.run_key for request in requests}) == 2


def test_without_a_study_there_is_nothing_to_run():
    with instance() as real:
        assert isinstance(refresh(real), dg.SkipReason)
