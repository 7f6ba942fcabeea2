"""The launcher's configuration, and what it says of a run's process. The rest needs a cluster."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from orch_assets.defs.cluster import celery_launcher
from orch_assets.defs.cluster.celery_launcher import CeleryLauncher
from orch_assets.defs.cluster.celery_worker import main
from orch_assets.defs.cluster.run_claims import Heartbeats, RunClaim
from orch_assets_tests.support.processes import ROOT

RUN = dg.DagsterRun(job_name="some", run_id="00000000-0000-0000-0000-000000000001")
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def shipped() -> dict:
    return yaml.safe_load((ROOT / "deploy" / "celery" / "dagster.yaml").read_text())


@pytest.fixture(params=["shipped", "CancellingRunCoordinator"])
def any_queue(request: pytest.FixtureRequest, shipped: dict) -> None:
    """Lets the instance have the shipped queue, then that which records users."""
    if request.param != "shipped":
        module = "orch_assets.defs.run_coordinator"
        shipped["run_coordinator"] = {"module": module, "class": request.param}


@pytest.fixture
def instance(
    shipped: dict, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[dg.DagsterInstance]:
    """The shipped instance, with SQLite in place of Postgres and no broker."""
    monkeypatch.setenv("CLUSTER_BROKER_URL", NOWHERE)
    del shipped["storage"]
    with dg.instance_for_test(shipped, temp_dir=str(tmp_path)) as made:
        yield made


def test_the_shipped_settings_are_the_defaults_and_load(instance: dg.DagsterInstance) -> None:
    launcher = instance.run_launcher
    assert isinstance(launcher, CeleryLauncher)
    assert launcher.heartbeats == Heartbeats() == Heartbeats(30, 90)
    assert instance.run_monitoring_enabled
    assert launcher.celery.conf.task_acks_late
    assert launcher.celery.conf.task_reject_on_worker_lost
    assert launcher.celery.conf.broker_transport_options["visibility_timeout"] == 300


def test_a_setting_of_celery_is_added_to_ours() -> None:
    launcher = CeleryLauncher(
        broker=NOWHERE,
        default_queue="dagster",
        config_source={"broker_transport_options": {"visibility_timeout": 5}, "timezone": "UTC"},
    )
    options = launcher.celery.conf.broker_transport_options
    assert (options["visibility_timeout"], options["socket_keepalive"]) == (5, True)
    assert launcher.celery.conf.task_acks_late


def test_a_silent_process_is_named(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(celery_launcher.time, "monotonic", lambda: now[0])
    claim = RunClaim(instance, RUN.run_id, owner="a-host/12/abc")
    claim.take()
    found = []
    for _ in range(5):
        found.append(instance.run_launcher.check_run_worker_health(RUN))
        now[0] += 30
    assert [each.status.value for each in found] == ["RUNNING"] * 3 + ["FAILED"] * 2
    assert found[3].msg is not None
    assert "no heartbeat for 90 seconds from process 12 on a-host" in found[3].msg
    claim.beat(1)
    assert instance.run_launcher.check_run_worker_health(RUN).status.value == "RUNNING"
    info = instance.run_launcher.get_run_worker_debug_info(RUN)
    assert info == "Claimed by process 12 on a-host."


@pytest.mark.usefixtures("any_queue")
def test_a_run_that_no_worker_has_is_left_to_its_command(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of `orch-assets run`, or of `dagster asset materialize`, has no heartbeats."""
    run = RUN.with_status(dg.DagsterRunStatus.STARTED)
    instance.add_run(run)
    now = [1000.0]
    monkeypatch.setattr(celery_launcher.time, "monotonic", lambda: now[0])
    for _ in range(6):
        assert instance.run_launcher.check_run_worker_health(run).status.value == "RUNNING"
        now[0] += 30
    assert not instance.run_coordinator.cancel_run(run.run_id)
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status == dg.DagsterRunStatus.STARTED


@pytest.mark.usefixtures("any_queue")
def test_a_run_is_cancelled_although_the_broker_is_away(instance: dg.DagsterInstance) -> None:
    run = RUN.with_status(dg.DagsterRunStatus.STARTED)
    instance.add_run(run)
    RunClaim(instance, run.run_id).take()
    assert instance.run_coordinator.cancel_run(run.run_id)
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status == dg.DagsterRunStatus.CANCELING
    instance.report_run_canceled(run)
    assert not instance.run_launcher.terminate(run.run_id)


@pytest.mark.parametrize("arguments", [["-P", "gevent"], ["-Psolo"], ["--pool=threads"]])
def test_runs_do_not_share_a_process(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "prefork" in capsys.readouterr().err


def test_a_worker_of_another_launcher_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with dg.instance_for_test() as made:
        monkeypatch.setenv("DAGSTER_HOME", made.root_directory)
        assert main([]) == 2
    assert "celery_launcher, class CeleryLauncher" in capsys.readouterr().err
