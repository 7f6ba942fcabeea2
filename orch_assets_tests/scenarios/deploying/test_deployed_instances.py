"""Each `dagster.yaml` in `deploy/` fits the schemas of what it configures. No cluster is asked."""

import re
from typing import Any

import pytest
import yaml
from dagster._config import process_config, resolve_to_config_type
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import ConfigurableClass, class_from_code_pointer

from orch_assets.defs.settings.launchers import refuse_run_of_command
from orch_assets.errors import OrchestratorError
from orch_assets_tests.defs.instances import temporary_instance
from orch_assets_tests.support.processes import ROOT

LAUNCHERS = {
    "docker": "DockerRunLauncher",
    "ecs": "EcsRunLauncher",
    "kubernetes": "K8sRunLauncher",
}
PAGE = ROOT / "docs" / "how-to" / "other-launchers.md"


def configuration(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / name / "dagster.yaml").read_text())
    return loaded


def variables(name: str) -> set[str]:
    """Return the environment variables that a file reads."""
    text = (ROOT / "deploy" / name / "dagster.yaml").read_text()
    return set(re.findall(r"\{env: (\w+)\}", text))


def problems(pointer: dict[str, Any]) -> list[str]:
    """Return what is wrong with the configuration of a class."""
    class_ = class_from_code_pointer(pointer["module"], pointer["class"])
    assert issubclass(class_, ConfigurableClass)
    schema = resolve_to_config_type(class_.config_type())
    return [
        error.message for error in process_config(schema, pointer.get("config", {})).errors or ()
    ]


@pytest.fixture(params=LAUNCHERS)
def name(request, monkeypatch):
    for variable in variables(request.param):
        monkeypatch.setenv(variable, "value")
    return request.param


def test_the_instance_takes_the_file(name, tmp_path):
    """As a whole, and as the class that the page is about."""
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(configuration(name)))
    ref = InstanceRef.from_dir(str(tmp_path))
    assert ref.run_launcher_data.class_name == LAUNCHERS[name]
    assert ref.storage_data.class_name == "DagsterPostgresStorage"


@pytest.mark.parametrize("part", ["run_launcher", "run_coordinator", "compute_logs"])
def test_each_class_takes_its_configuration(name, part):
    assert problems(configuration(name)[part]) == []


def test_the_postgres_storage_takes_its_configuration(name):
    pointer = {"module": "dagster_postgres", "class": "DagsterPostgresStorage"}
    assert problems({**pointer, "config": configuration(name)["storage"]["postgres"]}) == []


def test_what_a_launcher_does_not_know_is_found(name):
    pointer = configuration(name)["run_launcher"]
    (problem,) = problems({**pointer, "config": {**pointer["config"], "imge": "x"}})
    assert "imge" in problem


def test_a_command_runs_nothing_that_the_launcher_would_name_dead(name):
    """The launcher isn't created, which needs its cluster."""
    launcher = configuration(name)["run_launcher"]
    with (
        temporary_instance({"run_launcher": launcher}) as real,
        pytest.raises(OrchestratorError, match=f"{LAUNCHERS[name]} takes each run that it hasn't"),
    ):
        refuse_run_of_command(real)


def test_the_page_says_that_it_was_not_run_and_names_each_variable(name):
    page = PAGE.read_text()
    assert "was not run" in page
    assert "`orch-assets run` must not be used" in page
    assert f"deploy/{name}/dagster.yaml" in page
    assert {each for each in variables(name) if f"`{each}`" not in page} == set()
