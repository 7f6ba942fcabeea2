"""A launcher that executes runs as Celery tasks, and finds those whose process has died."""

import time
from collections.abc import Mapping
from typing import Any, Final, Self, cast

import dagster as dg

from orch_assets.defs.cluster.run_claims import Heartbeats, RunClaim, Silence, owner_of
from orch_assets.defs.dagster_internals import (
    CheckRunHealthResult,
    LaunchRunContext,
    WorkerStatus,
)
from orch_assets.extras import needing

with needing("cluster"):
    from dagster_celery.launcher import CeleryRunLauncher

EXECUTE_RUN: Final = "orch_assets.execute_run"

# A worker takes one task for each of its processes and no more, so that no run waits for a busy
# worker while another one is idle. A task is acknowledged at its end; the broker delivers it again
# before that, which does no harm, and finds the runs that a worker took and never began. If only
# the process of a run dies, its worker gives the task back at once.
_CELERY: Final[Mapping[str, Any]] = {
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "worker_prefetch_multiplier": 1,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "task_ignore_result": True,
    "worker_redirect_stdouts": False,
    "worker_max_tasks_per_child": 100,
}
_BROKER: Final[Mapping[str, Any]] = {
    "visibility_timeout": 300,
    "socket_keepalive": True,
    # For one attempt to connect; a worker goes on for ever.
    "max_retries": 3,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 0.5,
}
# The daemon waits so long for a broker that is away before it fails a run.
_SENDING: Final = {"max_retries": 120, "interval_start": 1, "interval_step": 0, "interval_max": 1}


class CeleryLauncher(CeleryRunLauncher):
    """Executes runs as Celery tasks.

    It adds to Dagster's launcher:

    - A run whose process was killed, or is cut off from the database, is found by its heartbeats.
    - A cancelled run ends as CANCELED.
    - A task that is delivered twice executes its run once.
    - A broker that is away for a minute fails no run.

    Set it in ``dagster.yaml``::

        run_launcher:
          module: orch_assets.defs.cluster.celery_launcher
          class: CeleryLauncher
          config:
            broker: {env: ORCH_BROKER}

    Args:
        heartbeat_seconds: See ``Heartbeats.every_seconds``.
        dead_after_seconds: See ``Heartbeats.dead_after_seconds``.
        config_source: Further settings of Celery.
        further: See ``dagster_celery.CeleryRunLauncher``.
    """

    reports_canceling: Final = True

    def __init__(
        self,
        heartbeat_seconds: float = Heartbeats.every_seconds,
        dead_after_seconds: float = Heartbeats.dead_after_seconds,
        config_source: Mapping[str, Any] | None = None,
        **further: Any,
    ) -> None:
        theirs = dict(config_source or {})
        transport = {**_BROKER, **theirs.pop("broker_transport_options", {})}
        settings = {**_CELERY, **theirs, "broker_transport_options": transport}
        super().__init__(config_source=settings, **further)
        self.heartbeats = Heartbeats(heartbeat_seconds, dead_after_seconds)
        self._silences: dict[str, Silence] = {}

    def launch_run(self, context: LaunchRunContext) -> None:
        """Send a run to the broker. The task has the run's ID and nothing else."""
        run = context.dagster_run
        queue = run.tags.get("dagster-celery/queue", self.default_queue)
        priority = run.tags.get("dagster-celery/run_priority", "0")
        self.celery.send_task(
            EXECUTE_RUN,
            args=[run.run_id],
            task_id=run.run_id,
            queue=queue,
            priority=int(priority) if priority.lstrip("-").isdigit() else 0,
            retry=True,
            retry_policy=_SENDING,
        )
        self._instance.report_engine_event(
            f"The run waits in the broker's queue {queue} for a worker.", run, cls=self.__class__
        )

    def terminate(self, run_id: str) -> bool:
        """Cancel a run; return False if it has ended, or if another process than a worker has it.

        If the broker is away, the run's own process finds the cancellation by its heartbeats.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or self._is_foreign(run):
            return False
        if run.status != dg.DagsterRunStatus.CANCELING:
            self._instance.report_run_canceling(run)
        try:
            self.celery.control.revoke(run_id, terminate=True)
        except Exception as error:  # noqa: BLE001 - each transport has errors of its own
            self._instance.report_engine_event(
                f"The broker can't be reached ({type(error).__name__}): the run's process finds "
                "the cancellation by itself.",
                run,
                cls=self.__class__,
            )
        return True

    def _is_foreign(self, run: dg.DagsterRun) -> bool:
        """Return whether a started run wasn't sent by this launcher: a worker claims it first."""
        is_started = run.status == dg.DagsterRunStatus.STARTED
        return is_started and RunClaim(self._instance, run.run_id).note() is None

    @property
    def supports_resume_run(self) -> bool:
        """A run is re-executed from failure instead, which keeps what has ended."""
        return False

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return whether a started run's process has shown lately that it lives.

        Nothing can be said of the run of a command, which is executed where the command is.
        """
        now = time.monotonic()
        note = RunClaim(self._instance, run.run_id).note()
        if note is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        usual = self._instance.run_monitoring_poll_interval_seconds
        silence = self._silences.setdefault(run.run_id, Silence(self.heartbeats, usual))
        seconds = silence.look(note, now)
        for run_id in [each for each, one in self._silences.items() if one.is_forgotten(now)]:
            del self._silences[run_id]
        if seconds < self.heartbeats.dead_after_seconds:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.FAILED,
            f"no heartbeat for {seconds:.0f} seconds from {owner_of(note)}: it was killed, or is "
            "cut off from the database",
        )

    def get_run_worker_debug_info(
        self,
        run: dg.DagsterRun,
        include_container_logs: bool | None = True,  # noqa: ARG002 - Dagster passes it
    ) -> str | None:
        """Return who executes a run, for the message of a failed one."""
        note = RunClaim(self._instance, run.run_id).note()
        return f"Claimed by {owner_of(note)}." if note else "No worker has taken the run."

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """Return the configuration's fields."""
        seconds = Heartbeats()
        return {
            **cast("Mapping[str, Any]", super().config_type()),
            "backend": dg.Field(dg.Noneable(dg.StringSource), default_value=None),
            "heartbeat_seconds": dg.Field(
                float,
                default_value=float(seconds.every_seconds),
                description="A run's process shows this often that it lives.",
            ),
            "dead_after_seconds": dg.Field(
                float,
                default_value=float(seconds.dead_after_seconds),
                description="A run without a heartbeat for so long is failed.",
            ),
        }

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> Self:
        """Return the launcher of a configuration."""
        return cls(inst_data=inst_data, **config_value)
