"""A project that `orch-assets init` wrote: its own tests, Dagster's `dg`, and make's targets."""

import shutil

import pytest

from orch_assets_tests.support.graphql import ask_server
from orch_assets_tests.support.processes import Home, free_port, until
from orch_assets_tests.support.projects import ROOT, installed, new_project

LOCATIONS = """{
  locationStatusesOrError { ... on WorkspaceLocationStatusEntries { entries { name loadStatus } } }
}"""
COMPONENT = "orch_assets.components.StudyPipelines"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return installed(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def in_code(site, tmp_path_factory):
    return new_project(tmp_path_factory.mktemp("new") / "my-trials", site)


@pytest.fixture(scope="module")
def in_yaml(site, tmp_path_factory):
    return new_project(tmp_path_factory.mktemp("new") / "my-trials", site, "--component")


@pytest.fixture(params=["in_code", "in_yaml"])
def project(request):
    return request.getfixturevalue(request.param)


def test_its_own_tests_pass(project):
    assert "1 passed" in project.run("python", "-m", "pytest", "-p", "no:cacheprovider").stdout


def test_dg_lists_and_checks_its_definitions(in_code):
    listed = in_code.run("dg", "list", "defs").stdout
    for name in ("enrolled_by_site", "subjects", "study_results", "study_registry_sensor"):
        assert name in listed
    shown = in_code.run("dg", "check", "defs").stdout
    assert "All component YAML validated successfully." in shown
    assert "All definitions loaded successfully." in shown


def test_dg_scaffolds_our_component(in_yaml):
    """In a project whose definitions are what its folder `defs` holds, as `dg` makes them."""
    written = in_yaml.folder / "my_trials" / "defs" / "study_pipelines"
    shutil.rmtree(written)
    in_yaml.run("dg", "scaffold", "defs", COMPONENT, "study_pipelines")
    text = (written / "defs.yaml").read_text()
    assert text == f"type: {COMPONENT}\n\nattributes: {{}}\n"
    shown = in_yaml.run("dg", "check", "defs").stdout
    assert "All definitions loaded successfully." in shown


def test_dg_names_the_line_of_a_wrong_attribute(in_yaml):
    """A key has no attribute, and a study key that YAML reads as a number is refused."""
    lines = ["api_key: abc", "whitelist: [001]", "studies_per_run: 0"]
    text = "\n  ".join([f"type: {COMPONENT}\nattributes:", *lines])
    in_yaml.write("my_trials/defs/study_pipelines/defs.yaml", text)
    shown = in_yaml.run("dg", "check", "yaml", code=1).stdout
    for number, line in enumerate(lines, 3):
        attribute = line.partition(":")[0]
        assert f"defs.yaml:{number} - {COMPONENT} attributes.{attribute}" in shown


@pytest.mark.parametrize("which", ["in_code", "ours"])
def test_dg_dev_serves_its_definitions(which, request, tmp_path):
    project = ROOT if which == "ours" else request.getfixturevalue(which).folder
    name = "orch_assets" if which == "ours" else "my_trials"
    site = request.getfixturevalue("site")
    home = Home(tmp_path, {"PYTHONPATH": f"{project}:{site}"}, project)
    port = free_port()
    log = tmp_path / "dev.log"
    with home.start("dg", "dev", "-p", str(port), "--no-check-yaml", log=log):
        url = f"http://127.0.0.1:{port}"
        until(lambda: _loaded(url), 100, f"the code location; see {log}")
        assert _loaded(url) == [name]


def _loaded(url):
    """Return the names of the code locations that a web server has loaded."""
    try:
        answer = ask_server(url, LOCATIONS)
    except OSError:
        return []
    entries = answer["locationStatusesOrError"]["entries"]
    return [each["name"] for each in entries if each["loadStatus"] == "LOADED"]


def test_its_make_targets_end_well_without_an_account(in_code):
    in_code.programs()
    assert "1 passed" in in_code.run("/usr/bin/make", "test").stdout
    shown = in_code.run("/usr/bin/make", "demo").stdout
    assert "Every study succeeded." in shown
    home = in_code.folder / ".dagster" / "demo"
    assert len(list((home / "artifacts" / "enrolled_by_site").glob("*.parquet"))) == 12
    assert home.stat().st_mode & 0o777 == 0o700
