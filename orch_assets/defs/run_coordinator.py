"""A run queue for launchers that terminate a run without telling Dagster who wanted it."""

import dagster as dg


class CancellingRunCoordinator(dg.QueuedRunCoordinator):
    """Dagster's own queue, which says that a run is being cancelled before it has it terminated.

    The default launcher says so itself; Celery's only sends a signal, which is taken for the
    host's: the run is FAILURE and is retried. For such a launcher, in ``dagster.yaml``::

        run_coordinator:
          module: orch_assets.defs.run_coordinator
          class: CancellingRunCoordinator
    """

    def cancel_run(self, run_id: str) -> bool:
        """Cancel a run on somebody's request; return whether that could be passed on."""
        run = self._instance.get_run_by_id(run_id)
        if run is not None and run.status == dg.DagsterRunStatus.STARTED:
            self._instance.report_run_canceling(run)
        return super().cancel_run(run_id)
