"""The settings of a user's own pipelines: on the command line, in the launchpad and in a file."""

import json
import sys
import uuid

import pytest

from orch_assets import LocalPipelineStore
from orch_assets_tests.defs.location.own_files import write_package
from orch_assets_tests.support.harness import materializations

PROJECT = '[tool.dg.project]\nroot_module = "{name}"\n'
DEFINITIONS = """
from orch_assets import build_definitions
from {name} import pipelines

defs = build_definitions(
    pipelines, shipped=[], per_study={{"{study}": {{"window": {{"label": "own"}}}}}}
)
"""
WINDOW = '''
import pandas as pd
from orch_assets import Skip, study_pipeline

@study_pipeline
def window(study_key, sdk, study_logger, days: int = 30, label: str = "none"):
    """A window.

    Args:
        days: Days to look back.
        label: Its label.
    """
    if days == 0:
        raise Skip("no days")
    return pd.DataFrame({"days": [days], "label": [label]})

@study_pipeline
def broken(study_key, sdk, study_logger, window):
    if len(window) != 1:
        raise ValueError
    if window["days"][0] == 13:
        raise ArithmeticError
    return 1
'''


@pytest.fixture
def repository(account, monkeypatch):
    """An account with three studies, and a user's repository in the command's working folder."""
    name, studies = f"trials_{uuid.uuid4().hex}", account.server.registry.study_keys()
    text = DEFINITIONS.format(name=name, study=studies[0])
    files = {"definitions": text, "pipelines.window": WINDOW}
    write_package(account.working_folder, name, files)
    (account.working_folder / "pyproject.toml").write_text(PROJECT.format(name=name))
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield account, studies
    for module in [each for each in sys.modules if each.startswith(name)]:
        del sys.modules[module]


def rows(account, studies):
    store = LocalPipelineStore(account.home / "artifacts")
    frames = [store.download(f"window/{study}") for study in studies]
    return [(int(frame["days"][0]), frame["label"][0]) for frame in frames]


def test_a_setting_of_the_command_counts_for_the_run_and_for_its_re_execution(repository):
    account, studies = repository
    file = account.working_folder / "studies.yaml"
    file.write_text(f"{studies[1]}:\n  window: {{days: 7}}\n")
    done = account.command("run", ORCH_STUDIES_FILE=str(file))
    assert done.code == 0, done.said
    assert rows(account, studies) == [(30, "own"), (7, "none"), (30, "none")]
    failed = account.command("run", "--set", "window.days=13", ORCH_STUDIES_FILE=str(file))
    assert failed.code == 1, failed.said
    assert rows(account, studies) == [(13, "own"), (13, "none"), (13, "none")]
    again = account.command("run", "--failed")
    assert again.code == 1, again.said
    configured = [run.run_config.get("ops", {}) for run in account.runs()]
    ops = {"study_graph": {"config": {"window": {"days": 13}}}}
    assert configured == [{}, ops, ops]


def test_skipped_studies_make_no_run_fail(repository):
    account, studies = repository
    done = account.command("run", "--set", "window.days=0", "--study", studies[2])
    assert done.code == 0, done.said
    with account.instance() as real:
        (skip,) = materializations(real, "broken")[studies[2]]
    assert json.dumps(skip["data"]) == '{"skipped": "window was skipped: no days"}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("window.days", "--set must be PIPELINE.NAME=VALUE, such as labs.days=14."),
        ("window.dayz=1", "names window.dayz, which isn't a setting. Did you mean `days`?"),
        ("windo.days=1", "names the pipeline windo, which this run doesn't have"),
        (
            "broken.days=1",
            "names the pipeline broken, which this run doesn't have, or which has no",
        ),
        ("window.days=soon", "--set window.days must be a whole number."),
    ],
)
def test_a_wrong_setting_of_the_command_starts_no_run(repository, text, said):
    account, _ = repository
    done = account.command("run", "--set", text)
    assert done.code != 0
    assert said in done.err
    assert account.runs() == []
