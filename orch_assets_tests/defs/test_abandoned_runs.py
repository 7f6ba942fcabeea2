"""Runs that nobody executes: what is believed of them, and how they are closed."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from orch_assets.defs.partitions import range_tags
from orch_assets.defs.runs.abandoned_runs import (
    PROCESS_TAG,
    close_run,
    process_tag,
    unfinished_runs,
)
from orch_assets_tests.support.processes import ROOT

STATUS = dg.DagsterRunStatus
RUN, OTHER = (f"2f3a1e0c-0000-4000-8000-00000000000{number}" for number in range(2))


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """The project's own settings, so that the daemon retries runs."""
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as real:
        yield real


def add(instance: dg.DagsterInstance, status: STATUS, tags: dict[str, str]) -> None:
    tags = {**range_tags("A", "B"), **tags}
    instance.add_run(dg.DagsterRun(job_name="some", run_id=RUN, status=status, tags=tags))


def dead_process_tag(run_id: str) -> dict[str, str]:
    """Return the tag that a process wrote which has ended."""
    code = "from orch_assets.defs.runs.processes import Process; print(Process.this().to_json())"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True
    )
    return {PROCESS_TAG: f"{run_id} {done.stdout}"}


@pytest.mark.parametrize("status", [STATUS.NOT_STARTED, STATUS.STARTED, STATUS.CANCELING])
def test_a_run_whose_process_is_gone_is_told_with_its_studies(instance, status) -> None:
    add(instance, status, dead_process_tag(RUN))
    (found,) = unfinished_runs(instance)
    assert found.is_executed is False
    assert found.describe().startswith(f"some, {status.value}, created ")
    assert found.describe().endswith(", studies A to B")


def test_a_run_whose_process_lives_is_executed(instance) -> None:
    add(instance, STATUS.STARTED, process_tag(RUN))
    assert [each.is_executed for each in unfinished_runs(instance)] == [True]


@pytest.mark.parametrize("tag", [{}, {PROCESS_TAG: RUN}, {PROCESS_TAG: f"{RUN} []"}, None])
def test_of_a_run_that_names_no_process_nothing_is_known(instance, tag) -> None:
    """The last one took its tags over from the run that it re-executes, as the UI does."""
    add(instance, STATUS.STARTED, dead_process_tag(OTHER) if tag is None else tag)
    (found,) = unfinished_runs(instance)
    assert (found.is_executed, found.process) == (None, None)


def test_a_closed_run_fails_and_no_daemon_retries_it(instance) -> None:
    add(instance, STATUS.STARTED, {})
    close_run(instance, RUN)
    closed = instance.get_run_by_id(RUN)
    assert closed.status == STATUS.FAILURE
    assert closed.tags["dagster/will_retry"] == "false"
    assert unfinished_runs(instance) == []


def test_what_somebody_was_cancelling_is_cancelled(instance) -> None:
    add(instance, STATUS.CANCELING, {})
    close_run(instance, RUN)
    assert instance.get_run_by_id(RUN).status == STATUS.CANCELED


@pytest.mark.parametrize("status", [STATUS.SUCCESS, STATUS.FAILURE, STATUS.CANCELED])
def test_a_run_that_has_ended_meanwhile_stays_as_it_is(instance, status) -> None:
    add(instance, status, {})
    close_run(instance, RUN)
    assert instance.get_run_by_id(RUN).status == status
