"""A project that `orch-assets init` wrote: its own tests, Dagster's `dg`, and make's targets."""

import pytest

from orch_assets_tests.support.projects import installed, new_project

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


def test_dg_lists_and_checks_its_definitions(project):
    listed = project.run("dg", "list", "defs").stdout
    for name in ("enrolled_by_site", "subjects", "study_results", "study_registry_sensor"):
        assert name in listed
    assert "All definitions loaded successfully." in project.run("dg", "check", "defs").stdout
    assert "All component YAML validated" in project.run("dg", "check", "yaml").stdout


def test_dg_lists_our_component_and_scaffolds_it(site, tmp_path):
    """In a project whose definitions are what its folder `defs` holds, as `dg` makes them."""
    project = new_project(tmp_path / "trials", site, "--component")
    assert COMPONENT in project.run("dg", "list", "components").stdout
    written = project.folder / "trials" / "defs" / "study_pipelines" / "defs.yaml"
    written.unlink()
    written.parent.rmdir()
    project.run("dg", "scaffold", "defs", COMPONENT, "everything")
    scaffolded = project.folder / "trials" / "defs" / "everything" / "defs.yaml"
    assert scaffolded.read_text() == f"type: {COMPONENT}\n\nattributes: {{}}\n"
    listed = project.run("dg", "list", "defs").stdout
    assert "subjects" in listed
    assert "enrolled_by_site" not in listed


def test_dg_names_the_line_of_a_wrong_attribute(site, tmp_path):
    """A key has no attribute, and a study key that YAML reads as a number is refused."""
    project = new_project(tmp_path / "trials", site, "--component")
    file = "trials/defs/study_pipelines/defs.yaml"
    for line in ("api_key: abc", "whitelist: [001]", "studies_per_run: 0", "store_format: xlsx"):
        project.write(file, f"type: {COMPONENT}\n\nattributes:\n  {line}\n")
        shown = project.run("dg", "check", "yaml", code=1).stdout
        assert f"defs.yaml:4 - {COMPONENT} attributes.{line.partition(':')[0]}" in shown


def test_its_make_targets_end_well_without_an_account(in_code):
    in_code.programs()
    assert "1 passed" in in_code.run("/usr/bin/make", "test").stdout
    shown = in_code.run("/usr/bin/make", "demo").stdout
    assert "enrolled_by_site" in shown
    assert (in_code.folder / ".dagster" / "demo").stat().st_mode & 0o777 == 0o700
