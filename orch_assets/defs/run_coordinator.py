"""A run queue for launchers that terminate a run without reporting that it was cancelled."""

import dagster as dg


class CancellingRunCoordinator(dg.QueuedRunCoordinator):
    """Dagster's own queue, which also reports a run as CANCELING before it is terminated.

    The default launcher reports this itself. Celery's launcher only sends a signal, which looks
    like one from the host: the run ends as FAILURE and is retried. For such a launcher, set in
    ``dagster.yaml``::

        run_coordinator:
          module: orch_assets.defs.run_coordinator
          class: CancellingRunCoordinator
    """

    def cancel_run(self, run_id: str) -> bool:
        """Cancel a run on request; return whether the request could be passed on."""
        run = self._instance.get_run_by_id(run_id)
        if run is not None and run.status == dg.DagsterRunStatus.STARTED:
            self._instance.report_run_canceling(run)
        return super().cancel_run(run_id)
