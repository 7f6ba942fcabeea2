"""The schedule that refreshes all studies daily."""

from typing import Final

import dagster as dg

from orch_assets.defs.dagster_internals import UnresolvedAssetJobDefinition
from orch_assets.defs.partitions import STUDIES_NAME, range_requests

_DAILY: Final = "0 5 * * *"


def build_daily_refresh(
    job: dg.JobDefinition | UnresolvedAssetJobDefinition, *, per_run: int | None = None
) -> dg.ScheduleDefinition:
    """Return the schedule that runs a job for all studies at 05:00 UTC.

    Args:
        job: The job to run.
        per_run: Number of studies in one run; None means one run for all.
    """

    @dg.schedule(
        name="daily_refresh",
        job=job,
        cron_schedule=_DAILY,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Runs every pipeline for every study.",
    )
    def daily_refresh(
        context: dg.ScheduleEvaluationContext,
    ) -> list[dg.RunRequest] | dg.SkipReason:
        study_keys = context.instance.get_dynamic_partitions(STUDIES_NAME)
        if not study_keys:
            return dg.SkipReason("There are no studies yet; study_registry_sensor adds them.")
        day = f"{context.scheduled_execution_time:%Y-%m-%d}"
        return range_requests(study_keys, per_run=per_run, run_key=day)

    return daily_refresh
