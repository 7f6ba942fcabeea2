"""A project by `orch-assets init` with pipelines of a user's own: what its user sees of a night.

Four studies: one is run with a setting of its own, one has nothing to draw and is skipped, and
iMednet refuses one, of which an alert tells.
"""

import json
from dataclasses import dataclass

import pytest
import yaml

from orch_assets import LocalPipelineStore
from orch_assets.demo import DemoServer
from orch_assets_tests.support.alert_receivers import webhook
from orch_assets_tests.support.browser import open_page
from orch_assets_tests.support.graphql import ask_server
from orch_assets_tests.support.processes import Home, registry_settings, until
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


MATERIALIZATIONS = """
query Materializations($asset: String!, $partitions: [String!]) {
  assetNodeOrError(assetKey: {path: [$asset]}) { ... on AssetNode {
    assetMaterializations(partitions: $partitions, limit: 1) { metadataEntries {
      label
      ... on TextMetadataEntry { text }
      ... on MarkdownMetadataEntry { mdStr }
      ... on JsonMetadataEntry { jsonString }
      ... on IntMetadataEntry { intValue }
    } }
  } }
}
"""
STATES = """
query States($asset: String!) {
  assetNodeOrError(assetKey: {path: [$asset]}) { ... on AssetNode {
    partitionStats { numPartitions numMaterialized numFailed }
  } }
}
"""
TICKS = """{
  sensorOrError(sensorSelector: {
    repositoryLocationName: "my_trials", repositoryName: "__repository__",
    sensorName: "study_alerts_sensor"
  }) { ... on Sensor { sensorState { ticks(limit: 20) { status skipReason } } } }
}"""


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
    with DemoServer(studies=4, subjects=40) as server, webhook() as hook:
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
        log = folder / "daemon.log"
        with home.start("dagster-daemon", "run", "-w", "workspace.yaml", log=log):
            until(lambda: "New alerts: 0." in log.read_text(), 120, f"the first tick; see {log}")
            done = home.run("orch-assets", "run")
            assert done.returncode == 1, done.stderr
            pooled = ("dagster", "asset", "materialize", "-m", "my_trials.definitions")
            done = home.run(*pooled, "--select", "enrolled_everywhere")
            assert done.returncode == 0, done.stderr
            until(lambda: hook.taken, 150, f"an alert; see {log}")
        yield Night(home, titled, skipped, refused, plain, hook.taken)


@pytest.fixture(scope="module")
def url(night):
    with night.home.webserver() as served:
        yield served


def metadata(url, asset, *partitions):
    """Return the metadata of an asset's newest materialization, of one study or of all."""
    told = ask_server(url, MATERIALIZATIONS, asset=asset, partitions=list(partitions) or None)
    (event,) = told["assetNodeOrError"]["assetMaterializations"]
    entries = event["metadataEntries"]
    return {each.pop("label"): next(iter(each.values()), None) for each in entries}


def test_a_study_that_has_nothing_to_draw_counts_as_done_and_a_refused_one_as_failed(night, url):
    for asset in ("subjects", "enrolled_by_site", "enrolment_chart"):
        told = ask_server(url, STATES, asset=asset)["assetNodeOrError"]["partitionStats"]
        assert told == {"numPartitions": 4, "numMaterialized": 3, "numFailed": 1}, asset


def test_a_study_is_drawn_with_its_own_setting_and_the_others_with_the_default(night, url):
    titles = {}
    for study in (night.titled, night.plain):
        told = metadata(url, "enrolment_chart", study)
        assert told["preview"].startswith("![preview](data:image/png;base64,")
        titles[study] = json.loads(told["settings"])["title"]
    assert titles == {night.titled: "First in human", night.plain: "Enrolment"}


def test_a_skipped_study_says_why(night, url):
    told = metadata(url, "enrolment_chart", night.skipped)
    assert json.loads(told["data"]) == {"skipped": "too few subjects are enrolled"}
    assert told["status"] == "SUCCESS"
    assert "preview" not in told


def test_the_table_of_all_studies_has_those_that_are_there(night, url):
    table = LocalPipelineStore(night.home.folder / "artifacts").download("enrolled_everywhere")
    assert set(table["study_key"]) == {night.titled, night.skipped, night.plain}
    told = metadata(url, "enrolled_everywhere")
    assert told["dagster/row_count"] == len(table)
    assert told["studies_missing"] == 1
    assert night.refused in told["study_gaps"]


def test_one_alert_tells_of_the_refused_study(night, url):
    (alert,) = night.alerts
    assert night.refused in json.dumps(alert)
    ticks = ask_server(url, TICKS)["sensorOrError"]["sensorState"]["ticks"]
    assert "New alerts: 1. 0 alerts wait." in [each["skipReason"] for each in ticks]


@pytest.fixture(scope="module")
def page(url):
    with open_page() as opened:
        opened.base = url
        yield opened


@pytest.mark.browser
@pytest.mark.usefixtures("chromium")
def test_a_person_sees_the_picture_the_setting_the_reason_and_the_alert(night, page):
    from playwright.sync_api import expect

    def study(key: str) -> None:
        page.goto(f"{page.base}/assets/enrolment_chart?view=partitions&partition={key}")

    study(night.titled)
    expect(page.get_by_text("First in human")).to_be_visible()
    # Dagster shows Markdown of more than 1,000 characters in a dialog.
    page.get_by_text("[Show Markdown]", exact=True).click()
    expect(page.locator('img[src^="data:image/png"]')).to_be_visible()
    study(night.skipped)
    expect(page.get_by_text("too few subjects are enrolled")).to_be_visible()
    study(night.refused)
    expect(page.get_by_text("failed, and did not materialize this asset")).to_be_visible()
    page.goto(f"{page.base}/assets/enrolled_everywhere")
    expect(page.get_by_text(night.refused).first).to_be_visible()
    page.goto(f"{page.base}/locations/my_trials/sensors/study_alerts_sensor")
    expect(page.get_by_text("1 study failed: RegistryRefusedError").first).to_be_visible()
