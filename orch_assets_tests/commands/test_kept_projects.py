"""Projects that earlier code wrote with `orch-assets init`: they run with today's code.

Never change a project in ``kept_projects``: its user wouldn't have. What they need, such as a
setting that was removed, must go on working, or the changelog says what to change. Before a
release, add the project that it writes.
"""

import shutil
from pathlib import Path

import pytest

from orch_assets_tests.support.processes import Home
from orch_assets_tests.support.projects import Project, installed

KEPT = Path(__file__).parents[1] / "kept_projects"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return installed(tmp_path_factory.mktemp("site"))


@pytest.fixture(params=sorted(KEPT.iterdir()), ids=lambda folder: folder.name)
def project(request, site, tmp_path):
    shutil.copytree(request.param, tmp_path / "project")
    return Project(tmp_path / "project", site)


def test_a_kept_project_passes_its_tests_and_runs(project, tmp_path):
    assert "1 passed" in project.run("python", "-m", "pytest", "-p", "no:cacheprovider").stdout
    settings = {"ORCH_REGISTRY": "demo", "PYTHONPATH": project.environment["PYTHONPATH"]}
    home = Home(tmp_path / "home", settings, project.folder)
    shutil.copy(project.folder / "dagster.yaml", home.folder)
    checked = home.run("orch-assets", "check")
    assert checked.returncode == 0, checked.stdout
    done = home.run("orch-assets", "run", "--study", "ONC-301")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (home.folder / "artifacts" / "enrolled_by_site" / "ONC-301.parquet").exists()
