"""The job ``upkeep``, and its schedule, which is off unless ``ORCH_UPKEEP`` says when it runs."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from orch_assets.defs.io.io_manager import PipelineIOManager
from orch_assets.defs.runs.interrupts import cancelled_by_ctrl_c
from orch_assets.defs.set_in_code import NOTHING

if TYPE_CHECKING:
    from orch_assets.stores.store import PipelineStore

UPKEEP: Final = "upkeep"
_THREE_O_CLOCK: Final = ("0 3 * * *", "UTC")


def build_upkeep_job(by_study: Collection[dg.AssetKey] = ()) -> dg.JobDefinition:
    """Return the job ``upkeep``, which removes what is old from the stores and from Dagster.

    Args:
        by_study: Assets whose partitions are the studies.
    """

    @dg.op(
        config_schema=NOTHING,
        required_resource_keys={"io_manager", "restricted_io_manager"},
    )
    @cancelled_by_ctrl_c
    def remove_what_is_old(context: dg.OpExecutionContext) -> None:
        # Only a run needs them, and not whoever loads the code location.
        from orch_assets.defs.upkeep.keep_days import KeepDays
        from orch_assets.defs.upkeep.whole_upkeep import Upkeep

        stores = (
            _store_of(context.resources.io_manager),
            _store_of(context.resources.restricted_io_manager),
        )
        upkeep = Upkeep(context.instance, stores, own_run=context.run_id, by_study=by_study)
        cutoffs = KeepDays.from_environment().cutoffs(datetime.now(UTC))
        is_anything_old = False
        for line in upkeep.run(cutoffs):
            context.log.info(str(line))
            is_anything_old = True
        if upkeep.problems:
            raise dg.Failure(" ".join(upkeep.problems), allow_retries=False)
        if not is_anything_old:
            context.log.info("Nothing is old.")

    @dg.job(
        name=UPKEEP,
        description="Removes old manifests, failure reports, leftovers and runs, and old versions "
        "if ORCH_KEEP_VERSION_DAYS is set.",
    )
    def upkeep() -> None:
        remove_what_is_old()

    return upkeep


def build_upkeep_schedule(
    job: dg.JobDefinition, cron_and_zone: tuple[str, str] | None = None
) -> dg.ScheduleDefinition:
    """Return the schedule that runs the job.

    Args:
        job: The job.
        cron_and_zone: When it runs: a cron schedule and its time zone. None means at 03:00 UTC,
            once a user has switched the schedule on.
    """
    cron, zone = cron_and_zone or _THREE_O_CLOCK
    status = dg.DefaultScheduleStatus
    return dg.ScheduleDefinition(
        name="daily_upkeep",
        job=job,
        cron_schedule=cron,
        execution_timezone=zone,
        default_status=status.RUNNING if cron_and_zone else status.STOPPED,
        description="Removes what is old from the stores and from Dagster.",
    )


def _store_of(io_manager: Any) -> "PipelineStore | None":
    return io_manager.pipeline_store() if isinstance(io_manager, PipelineIOManager) else None
