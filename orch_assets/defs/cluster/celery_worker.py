"""A Celery worker that executes runs, as the instance's ``dagster.yaml`` configures it.

::

    python -m orch_assets.defs.cluster.celery_worker --concurrency 2

The arguments are those of ``celery worker`` but ``--pool``: each run needs a process of its own.
"""

import sys
from collections.abc import Sequence
from typing import Any

import dagster as dg

from orch_assets.defs.cluster.celery_launcher import EXECUTE_RUN, CeleryLauncher
from orch_assets.defs.cluster.database_waits import while_away
from orch_assets.defs.cluster.run_task import execute_delivered_run
from orch_assets.errors import OrchAssetsError, SettingError


def worker_app() -> Any:
    """Return the Celery app of the instance's launcher, with the task that executes a run.

    Raises:
        SettingError: The instance has another launcher.
    """
    with dg.DagsterInstance.get() as instance:
        launcher = instance.run_launcher
    if not isinstance(launcher, CeleryLauncher):
        raise SettingError(
            "run_launcher",
            f"of dagster.yaml is {type(launcher).__name__}: a worker gets no runs from it. Set "
            f"module {CeleryLauncher.__module__}, class {CeleryLauncher.__name__}.",
        )
    heartbeats = launcher.heartbeats

    def execute_run(run_id: str) -> bool:
        with while_away(dg.DagsterInstance.get, heartbeats.away_seconds) as instance:
            return execute_delivered_run(instance, run_id, heartbeats)

    launcher.celery.task(name=EXECUTE_RUN)(execute_run)
    return launcher.celery


def main(arguments: Sequence[str]) -> int:
    """Work until a signal ends it; return an exit code."""
    if any(each.startswith(("-P", "--pool")) for each in arguments):
        sys.stderr.write("--pool isn't supported: each run needs a process of its own (prefork).\n")
        return 2
    try:
        app = worker_app()
    except OrchAssetsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    app.worker_main(["worker", "--loglevel", "INFO", "--pool", "prefork", *arguments])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
