"""A run that the command started is re-executed from failure, in the UI and by the command."""

import shutil

import dagster as dg
import pytest
from dagster._core.workspace.load import location_origins_from_yaml_paths
from dagster._core.workspace.load_target import (
    ModuleTarget,
    get_origins_from_toml,
)

import orch_assets
from orch_assets.definitions import defs
from orch_assets.defs.partitions import STUDIES_NAME, range_tags
from orch_assets.demo import DemoServer
from orch_assets_tests.scenarios.end_to_end.user_interface import user_interface
from orch_assets_tests.support.harness import in_state, materializations
from orch_assets_tests.support.processes import ROOT, Home, registry_settings


@pytest.fixture
def studies(account):
    return account.server.registry.study_keys()


@pytest.fixture(scope="module")
def failed_home(tmp_path_factory):
    """A DAGSTER_HOME after a run in which the second of three studies failed."""
    with DemoServer(studies=3, subjects=1) as server:
        server.registry.forbid_study(server.registry.study_keys()[1])
        home = Home(tmp_path_factory.mktemp("failed"), registry_settings(server))
        done = home.run_here("run")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "re-execute from failure in the UI, or use `orch-assets run --failed`" in done.stdout
    return home.folder


@pytest.fixture
def failed_run(account, failed_home):
    """The run in which the second of three studies failed; it would succeed now."""
    shutil.copytree(failed_home, account.home, dirs_exist_ok=True)
    (run,) = account.runs()
    return run


def carried_and_run(real, pipeline, parent):
    """Return which studies' newest results of a pipeline are carried from a run, and which not."""
    newest = {study: found[-1] for study, found in materializations(real, pipeline).items()}
    carried = {study for study, event in newest.items() if event.get("carried_from")}
    assert {newest[study]["carried_from"] for study in carried} <= {parent.run_id}
    return carried, set(newest) - carried


def test_the_location_has_one_name_however_it_is_loaded(monkeypatch):
    """With `-w workspace.yaml`, under `dagster dev` and `dg`, and with `dagster -m`."""
    monkeypatch.chdir(ROOT)
    module = ModuleTarget("orch_assets", None, str(ROOT), None)
    origins = [
        *location_origins_from_yaml_paths(["workspace.yaml"]),
        *get_origins_from_toml("pyproject.toml"),
        *module.create_origins(),
    ]
    assert [origin.location_name for origin in origins] == ["orch_assets"] * 3
    assert orch_assets.code_location is defs


def test_the_uis_re_execution_from_failure_runs_only_what_failed(
    account, studies, failed_run, monkeypatch
):
    assert failed_run.tags["dagster/will_retry"] == "false"
    with user_interface(account, monkeypatch) as ui:
        again = ui.reexecute(failed_run)
        assert again.status == dg.DagsterRunStatus.SUCCESS
        assert again.parent_run_id == failed_run.run_id
        assert in_state(ui.real, "forms", "MATERIALIZED") == studies
        carried, run = carried_and_run(ui.real, "forms", failed_run)
        assert (carried, run) == ({studies[0], studies[2]}, {studies[1]})


def test_the_command_leaves_alone_what_the_ui_re_executed(account, failed_run, monkeypatch):
    """A re-execution has its parent's tags, and so seems to be of the same command."""
    with user_interface(account, monkeypatch) as ui:
        ui.reexecute(failed_run)
    done = account.command("run", "--failed")
    assert (done.code, done.out) == (0, "Nothing failed in the last run: nothing to re-execute.\n")


def test_the_uis_re_execution_from_asset_failure_takes_the_assets_without_a_success(
    account, studies, monkeypatch
):
    """One study, forbidden: each table but the registry's list failed for it."""
    account.server.registry.forbid_study(studies[1])
    assert account.command("run", "--study", studies[1]).code == 1
    account.server.registry.allow_study(studies[1])
    (parent,) = account.runs()
    with user_interface(account, monkeypatch) as ui:
        again = ui.reexecute(parent, "FROM_ASSET_FAILURE")
        assert again.status == dg.DagsterRunStatus.SUCCESS
        assert dg.AssetKey("study") not in again.asset_selection
        assert in_state(ui.real, "forms", "MATERIALIZED") == [studies[1]]


def test_the_command_runs_only_what_failed_in_the_last_run(account, studies, failed_run):
    done = account.command("run", "--failed")
    assert done.code == 0, done.said
    assert f"Re-executing from failure: run {failed_run.run_id} of 3 studies" in done.out
    _, again = account.runs()
    assert (again.parent_run_id, again.root_run_id) == (failed_run.run_id, failed_run.run_id)
    assert again.tags["dagster/is_resume_retry"] == "true"
    with account.instance() as real:
        assert in_state(real, "forms", "MATERIALIZED") == studies
        carried, run = carried_and_run(real, "forms", failed_run)
    assert (carried, run) == ({studies[0], studies[2]}, {studies[1]})
    nothing = account.command("run", "--failed")
    assert (nothing.code, "nothing to re-execute" in nothing.out) == (0, True)
    assert len(account.runs()) == 2


def test_a_run_of_dagsters_own_command_is_re_executed_by_ours(account, studies):
    """Such a run has no origin, so its message doesn't speak of the UI."""
    account.know(*studies)
    account.server.registry.forbid_study(studies[1])
    job = defs.resolve_implicit_global_asset_job_def()
    with account.instance() as real, pytest.MonkeyPatch.context() as patch:
        for name, value in registry_settings(account.server).items():
            patch.setenv(name, value)
        patch.setenv("DAGSTER_HOME", str(account.home))
        result = job.execute_in_process(
            instance=real,
            asset_selection=[dg.AssetKey("forms"), dg.AssetKey("sites")],
            tags=range_tags(studies[0], studies[1]),
            raise_on_error=False,
        )
    (event,) = [event for event in result.all_events if event.is_step_failure]
    told = event.step_failure_data.user_failure_data.description
    assert "use `orch-assets run --failed`" in told
    assert "UI" not in told
    account.server.registry.allow_study(studies[1])
    done = account.command("run", "--failed")
    assert done.code == 0, done.said
    with account.instance() as real:
        for name in ("forms", "sites"):
            assert in_state(real, name, "MATERIALIZED") == studies[:2]
        assert not materializations(real, "subjects")


def test_a_run_that_goes_on_is_not_re_executed_until_it_is_closed(account, studies, failed_run):
    """The advice works for a run whose process is gone."""
    gone = failed_run._replace(
        run_id="2f3a1e0c-0000-4000-8000-000000000001", status=dg.DagsterRunStatus.STARTED
    )
    with account.instance() as real:
        real.add_run(gone)
    done = account.command("run", "--failed")
    assert done.code == 2
    assert f"Run {gone.run_id} is in progress. Wait until it ends or, if its" in done.err
    assert f"`orch-assets runs close {gone.run_id}`" in done.err
    assert account.command("runs", "close", gone.run_id, "--yes").code == 0
    # The failed run read the same data from another server.
    assert account.command("run", "--failed", "--accept-other-registry").code == 0


def test_a_run_whose_studies_were_retired_says_what_to_do_instead(account, studies, failed_run):
    with account.instance() as real:
        real.delete_dynamic_partition(STUDIES_NAME, studies[2])
    done = account.command("run", "--failed")
    assert done.code == 2
    assert f"{studies[2]} is retired: it can't be re-executed." in done.err
    assert "`orch-assets run`, or one with --study" in done.err
    assert account.command("run", "--study", studies[1]).code == 0


def test_without_a_run_there_is_nothing_that_failed(account):
    done = account.command("run", "--failed")
    assert (done.code, done.out) == (2, "")
    assert done.err == "No studies have been run yet. Start with `orch-assets run`.\n"
    assert account.command("run", "--failed", "--study", "S").code == 2


def test_what_a_user_sees_of_a_run_s_job_in_the_ui(account, failed_run, monkeypatch):
    """The run belongs to the location's job, so that its page lists it."""
    query = """query($run: ID!) { runOrError(runId: $run) { ... on Run {
        canTerminate hasReExecutePermission
        repositoryOrigin { repositoryName repositoryLocationName } } } }"""
    with user_interface(account, monkeypatch) as ui:
        assert ui.ask(query, run=failed_run.run_id)["repositoryOrigin"] == {
            "repositoryName": "__repository__",
            "repositoryLocationName": "orch_assets",
        }
    assert dg.AssetKey("forms") in defs.resolve_all_asset_keys()
