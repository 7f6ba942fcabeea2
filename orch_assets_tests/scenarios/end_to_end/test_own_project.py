"""A project by `orch-assets init` with pipelines of a user's own: what its user sees of a night.

Four studies: one is run with a setting of its own, one has nothing to draw and is skipped, and
iMednet refuses one, of which an alert tells.
"""

from dataclasses import dataclass

import pytest
import yaml

from orch_assets.demo import DemoServer
from orch_assets_tests.support.alert_receivers import webhook
from orch_assets_tests.support.processes import Home, registry_settings
from orch_assets_tests.support.projects import installed, new_project

DRAWING = '''"""A picture of a study's enrolment."""

from matplotlib.figure import Figure

from orch_assets import Document, Skip, study_pipeline


@study_pipeline(group="enrolment")
def enrolment_chart(
    study_key, sdk, study_logger, enrolled_by_site, title: str = "Enrolment", minimum: int = 1
):
    """Enrolled subjects of each site, as a chart.

    Args:
        title: Heading of the chart.
        minimum: Fewest subjects of which there is a chart.
    """
    if enrolled_by_site["subjects"].sum() < minimum:
        raise Skip("too few subjects are enrolled")
    figure = Figure(figsize=(4, 2))
    axes = figure.subplots()
    axes.barh(enrolled_by_site["site_name"], enrolled_by_site["subjects"])
    axes.set_title(title)
    return Document(figure, "image/png", show=True)
'''
DEFINITIONS = '''"""The code location: all definitions that Dagster serves."""

import dagster as dg
import orch_assets
import pandas as pd

from my_trials import pipelines


@dg.asset
def enrolled_everywhere(enrolled_by_site: pd.DataFrame) -> pd.DataFrame:
    """Enrolled subjects of each site of all studies."""
    return enrolled_by_site


defs = orch_assets.build_definitions(
    pipelines=pipelines, shipped=["subjects"], assets=[enrolled_everywhere]
)
'''


@dataclass
class Night:
    """What is left of a night: a home, the studies by what happens to them, and the alerts."""

    home: Home
    titled: str
    skipped: str
    refused: str
    plain: str
    alerts: list


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("night")
    project = new_project(folder / "my-trials", installed(folder / "site"))
    project.write("my_trials/pipelines/enrolment_chart.py", DRAWING)
    project.write("my_trials/definitions.py", DEFINITIONS)
    with DemoServer(studies=4, subjects=6) as server, webhook() as hook:
        titled, skipped, refused, plain = server.registry.study_keys()
        server.registry.forbid_study(refused)
        per_study = {
            titled: {"enrolment_chart": {"title": "First in human"}},
            skipped: {"enrolment_chart": {"minimum": 1000}},
        }
        project.write("studies.yaml", yaml.safe_dump(per_study))
        settings = {
            **registry_settings(server),
            "PYTHONPATH": project.environment["PYTHONPATH"],
            "ORCH_STUDIES_FILE": str(project.folder / "studies.yaml"),
            "ORCH_ALERT_WEBHOOK": hook.url,
        }
        home = Home(folder / "home", settings, project.folder)
        done = home.run("orch-assets", "run")
        assert done.returncode == 1, done.stderr
        pooled = ("dagster", "asset", "materialize", "-m", "my_trials.definitions", "--select")
        done = home.run(*pooled, "enrolled_everywhere")
        assert done.returncode == 0, done.stderr
        yield Night(home, titled, skipped, refused, plain, hook.taken)


@pytest.fixture(scope="module")
def url(night):
    with night.home.webserver() as served:
        yield served


def test_x(night, url):
    import shutil

    shutil.copytree(night.home.folder.parent, "/tmp/init-work/night", dirs_exist_ok=True)
    assert night
