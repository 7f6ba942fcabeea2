"""A launcher that terminates a run as Celery's does: by a signal, without telling Dagster."""

import os
import re
import signal

from dagster._core.launcher import DefaultRunLauncher


class SilentRunLauncher(DefaultRunLauncher):
    def terminate(self, run_id: str) -> bool:
        said = " ".join(str(entry.message) for entry in self._instance.all_logs(run_id))
        (process,) = set(re.findall(r"\(pid: (\d+)\)", said))
        os.kill(int(process), signal.SIGTERM)
        return True
