"""The command in a user's own repository: their pipelines, resources and location's name."""

import sys
import uuid

import dagster as dg
import pytest
from dagster._core.workspace.load_target import get_origins_from_toml

from orch_assets import LocalPipelineStore
from orch_assets_tests.defs.location.own_files import HEAD, pipeline, write_package
from orch_assets_tests.scenarios.end_to_end.user_interface import user_interface
from orch_assets_tests.support.harness import in_state

PROJECT = '[tool.dg.project]\nroot_module = "{name}"\ncode_location_name = "our_trials"\n'
DEFINITIONS = """
from orch_assets import build_definitions
from orch_assets.defs.resources import OrchestrationResource, StoreResource
from orch_assets.defs.study_resources import study_resources
from {name} import pipelines

defs = build_definitions(
    pipelines,
    shipped=["subjects"],
    resources=study_resources(
        StoreResource(uri="{folder}/open"),
        StoreResource(uri="{folder}/closed", restricted=True),
        orchestration=OrchestrationResource(whitelist={studies}),
    ),
)
"""
FRAGILE = """
import os
import pandas as pd
from orch_assets import study_pipeline

@study_pipeline
def fragile(study_key, sdk, study_logger, subjects):
    if os.environ.get("FRAGILE") == study_key:
        raise ArithmeticError
    return pd.DataFrame({"subjects": [len(subjects)]})
"""


@pytest.fixture
def repository(account, tmp_path, monkeypatch):
    """An account, and a user's repository in the command's working folder; two of three studies."""
    name, studies = f"trials_{uuid.uuid4().hex}", account.server.registry.study_keys()[:2]
    text = DEFINITIONS.format(name=name, folder=tmp_path, studies=studies)
    files = {"definitions": text, "pipelines.fragile": FRAGILE}
    write_package(account.working_folder, name, files)
    (account.working_folder / "pyproject.toml").write_text(PROJECT.format(name=name))
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield account, studies, name
    for module in [each for each in sys.modules if each.startswith(name)]:
        del sys.modules[module]


def test_every_command_works_on_the_users_own_location(repository, tmp_path):
    """Their pipelines, filter and stores; ``ORCH_STORE`` is only a default."""
    account, studies, name = repository
    checked = account.command("check")
    assert checked.code == 0, checked.said
    assert f"pipelines: 2 of {name}.definitions can run" in checked.out
    shown = account.command("studies")
    assert "Selected: 2\n" in shown.out
    ran = account.command("run", FRAGILE=studies[1])
    assert ran.code == 1, ran.said
    assert f"Studies (2): {', '.join(studies)}\n" in ran.out
    assert ran.out.endswith(f"Artifacts: {tmp_path}/open.\n")
    assert "ArithmeticError" in account.command("failures").out
    again = account.command("run", "--failed")
    assert again.code == 0, again.said
    marked = account.command("mark", "freeze", "--all")
    assert marked.code == 0, marked.said
    assert f"freeze: 2\n  {min(studies)}: run " in account.command("marks").out
    redacted = account.command("redact")
    assert (redacted.code, "No open version holds" in redacted.out) == (0, True)
    store = LocalPipelineStore(tmp_path / "open")
    assert store.list_artifacts("fragile") == [f"fragile/{study}" for study in sorted(studies)]
    retired = account.command("studies", "retire", studies[0], "--yes")
    assert retired.code == 0, retired.said
    unknown = account.command("run", "--pipeline", "sites")
    assert (unknown.code, "There is no pipeline sites." in unknown.err) == (2, True)


def test_the_ui_re_executes_a_run_of_the_command_by_the_users_name(repository, monkeypatch):
    account, studies, _ = repository
    assert account.command("run", FRAGILE=studies[1]).code == 1
    (failed,) = account.runs()
    assert failed.remote_job_origin.location_name == "our_trials"
    monkeypatch.chdir(account.working_folder)
    with user_interface(account, monkeypatch, get_origins_from_toml("pyproject.toml")) as ui:
        again = ui.reexecute(failed)
        assert again.status == dg.DagsterRunStatus.SUCCESS
        assert in_state(ui.real, "fragile", "MATERIALIZED") == studies


def test_the_option_names_another_location(repository):
    account, _, _ = repository
    done = account.command("--module", "orch_assets.definitions", "studies")
    assert (done.code, "Selected: 3\n" in done.out) == (0, True)


def test_a_location_that_cannot_be_loaded_ends_each_command_with_its_code(repository):
    account, _, name = repository
    (account.working_folder / name / "definitions.py").write_text("\n1/0\n")
    for command in (["run"], ["studies"], ["failures"], ["marks"], ["redact"]):
        done = account.command(*command)
        assert done.code == 2, command
        assert done.err == (
            f"SettingError: pyproject.toml or workspace.yaml names the module {name}.definitions, "
            "which can't be loaded: definitions.py, line 2: ZeroDivisionError. --module names "
            "another one.\n"
        )
    checked = account.command("check")
    assert (checked.code, "wrong  pipelines: SettingError" in checked.out) == (2, True)


def test_a_broken_file_costs_itself_alone_and_check_tells(repository):
    account, _, name = repository
    folder = account.working_folder / name / "pipelines"
    (folder / "labs.py").write_text("1/0\n")
    (folder / "more.py").write_text(HEAD + pipeline("more", "labs"))
    checked = account.command("check")
    assert "pipelines/labs.py, line 1: ZeroDivisionError." in checked.out
    ran = account.command("run", "--pipeline", "subjects")
    assert ran.code == 0, ran.said
