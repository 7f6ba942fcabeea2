"""The schedule that refreshes all studies."""

from typing import Final

import dagster as dg

from orch_assets.defs.dagster_internals import UnresolvedAssetJobDefinition
from orch_assets.defs.partitions import STUDIES_NAME, range_requests

_FIVE_O_CLOCK: Final = ("0 5 * * *", "UTC")


def build_daily_refresh(
    job: dg.JobDefinition | UnresolvedAssetJobDefinition,
    *,
    per_run: int | None = None,
    cron_and_zone: tuple[str, str] | None = None,
) -> dg.ScheduleDefinition:
    """Return the schedule that runs a job for all studies.

    Args:
        job: The job to run.
        per_run: Number of studies in one run; None means one run for all.
        cron_and_zone: When it runs: a cron schedule and its time zone. None means at 05:00 UTC,
            once a user has switched the schedule on.
    """
    cron, zone = cron_and_zone or _FIVE_O_CLOCK
    running = cron_and_zone is not None

    @dg.schedule(
        name="daily_refresh",
        job=job,
        cron_schedule=cron,
        execution_timezone=zone,
        default_status=dg.DefaultScheduleStatus.RUNNING
        if running
        else dg.DefaultScheduleStatus.STOPPED,
        description="Runs every pipeline for every study.",
    )
    def daily_refresh(
        context: dg.ScheduleEvaluationContext,
    ) -> list[dg.RunRequest] | dg.SkipReason:
        study_keys = context.instance.get_dynamic_partitions(STUDIES_NAME)
        if not study_keys:
            return dg.SkipReason(
                "There are no studies yet. study_registry_sensor adds them, if it is on; so do "
                "`orch-assets run` and the job sync_studies."
            )
        # With the hour: the schedule may run more than once a day.
        tick = context.scheduled_execution_time.isoformat()
        return range_requests(study_keys, per_run=per_run, run_key=tick)

    return daily_refresh
