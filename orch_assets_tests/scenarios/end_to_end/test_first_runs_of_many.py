"""A real daemon that finds 600 new studies at once, and is killed while their runs are created."""

import os
import signal
from collections import Counter

import dagster as dg

from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets.demo import DemoServer
from orch_assets_tests.scenarios.end_to_end import location_of_many
from orch_assets_tests.support.harness import in_state
from orch_assets_tests.support.processes import Home, registry_settings, until

STUDIES = [f"S-{number:03}" for number in range(600)]
SMALL = dg.AssetKey("small")
MATERIALIZATION = dg.DagsterEventType.ASSET_MATERIALIZATION


def test_each_study_of_600_is_run_once_although_the_daemon_is_killed(tmp_path):
    with DemoServer(studies=0, subjects=0) as server:
        for study_key in STUDIES:
            server.registry.add_study(study_key, subjects=0)
        home = Home(tmp_path, registry_settings(server))
        with home.instance() as real:
            with daemon(home) as running:
                until(lambda: len(study_runs(real)) >= 2, 120, "the second run")
                os.killpg(running.pid, signal.SIGKILL)
            assert list(real.get_dynamic_partitions(STUDIES_NAME)) == STUDIES
            assert len(study_runs(real)) < 6
            with daemon(home):
                until(lambda: len(planned(real)) == 600, 240, "a run of each study")
                until(lambda: len(study_runs(real)) >= 6, 10, "the last run")
            assert set(planned(real).values()) == {1}
            assert in_state(real, "small", None) == []


def daemon(home):
    log = home.folder / "daemon.log"
    return home.start("dagster-daemon", "run", "-m", location_of_many.__name__, log=log)


def study_runs(real):
    return [run for run in real.get_runs() if run.job_name == "study_pipelines"]


def planned(real):
    """Return how many runs were planned for each study."""
    counts = Counter()
    for run in study_runs(real):
        first, last = (
            STUDIES.index(run.tags[f"dagster/asset_partition_range_{end}"])
            for end in ("start", "end")
        )
        counts.update(STUDIES[first : last + 1])
    return counts
