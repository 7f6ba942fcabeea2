"""A worker outlives the process of one of its runs, and executes the run once more."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
import yaml

from orch_assets.defs.dagster_internals import LaunchRunContext
from orch_assets_tests.support.processes import ROOT, until
from orch_assets_tests.support.redis_servers import redis_server

_MARK = "TEST_KILLED_MARK"


@dg.op
def some_op() -> None:
    pass


@dg.job(executor_def=dg.in_process_executor)
def some_job() -> None:
    some_op()


def load_job() -> dg.JobDefinition:
    """Return the job; the first process that wants it is killed, as if it had no memory left."""
    mark = Path(os.environ.get(_MARK, "/"))
    if not mark.exists():
        mark.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return some_job


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A DAGSTER_HOME with a launcher that finds dead processes soon."""
    with redis_server() as url:
        config = {"broker": url, "heartbeat_seconds": 0.2, "dead_after_seconds": 2.0}
        launcher = {"module": "orch_assets.defs.cluster.celery_launcher", "class": "CeleryLauncher"}
        settings = {"run_launcher": {**launcher, "config": config}}
        (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings))
        yield tmp_path


@contextmanager
def running_worker(home: Path, log: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "orch_assets.defs.cluster.celery_worker"]
    options = ["--concurrency", "1", "--without-gossip", "--without-mingle"]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DAGSTER_HOME": str(home),
        _MARK: str(home / "killed"),
    }
    with (
        log.open("wb") as out,
        subprocess.Popen([*command, *options], env=environment, stdout=out, stderr=out) as process,
    ):
        try:
            yield
            assert process.poll() is None
        finally:
            process.terminate()


def test_a_run_whose_process_dies_before_it_begins_runs_in_the_next_one(
    home: Path, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    with dg.DagsterInstance.from_config(str(home)) as instance:
        run = instance.create_run_for_job(
            some_job,
            status=dg.DagsterRunStatus.STARTING,
            job_code_origin=dg.reconstructable(load_job).get_python_origin(),
        )
        instance.run_launcher.launch_run(LaunchRunContext(run, workspace=None))

        def has_ended() -> bool:
            found = instance.get_run_by_id(run.run_id)
            return found is not None and found.is_finished

        with running_worker(home, log):
            until(has_ended, 120, f"the run ends; {log.read_text()}")
        ended = instance.get_run_by_id(run.run_id)
        assert ended is not None
        assert ended.status == dg.DagsterRunStatus.SUCCESS
    assert (home / "killed").exists()
