"""What a person sees in the Dagster UI after a run of the main job: three studies, one failed."""

import re

import pytest

from orch_assets_tests.support.browser import open_page

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("chromium")]


@pytest.fixture(scope="module")
def page(failed_run):
    _, home, _ = failed_run
    with home.webserver() as url, open_page() as opened:
        opened.base = url
        yield opened


@pytest.fixture(scope="module")
def expect():
    from playwright.sync_api import expect

    return expect


def test_the_assets_page_counts_the_studies_of_each_table(page, expect):
    page.goto(f"{page.base}/assets")
    # The innermost part of the page that holds the table's name and its count is its row.
    name = page.locator('a[href="/assets/records"]')
    row = page.locator("div", has=name).filter(has_text="3 partitions").last
    expect(row).to_have_text(re.compile(r"2\s*0\s*1\s*0\s*3 partitions"))


def test_the_partitions_page_shows_who_failed(page, expect, failed_run):
    studies, _, _ = failed_run
    page.goto(f"{page.base}/assets/records?view=partitions")
    expect(page.get_by_text("Failed (1)")).to_be_visible()
    expect(page.get_by_text("Materialized (2)")).to_be_visible()
    expect(page.get_by_text("Missing (0)")).to_be_visible()
    page.goto(f"{page.base}/assets/records?view=partitions&partition={studies[1]}")
    expect(page.get_by_text("failed, and did not materialize this asset")).to_be_visible()


def test_a_studys_page_shows_its_result_and_its_artifact(page, expect, failed_run):
    studies, home, _ = failed_run
    page.goto(f"{page.base}/assets/records?view=partitions&partition={studies[0]}")
    artifact = home.folder / "artifacts" / "records" / f"{studies[0]}.parquet"
    expect(page.get_by_text(artifact.as_uri(), exact=True)).to_be_visible()
    for field in (
        "status",
        "data",
        "error",
        "duration_seconds",
        "sha256",
        "dagster/row_count",
        "registry",
    ):
        expect(page.get_by_role("cell", name=field, exact=True)).to_be_visible()


def test_the_matrix_shows_every_study_and_pipeline(page, expect, failed_run):
    studies, _, _ = failed_run
    open_metadata(page, "matrix")
    matrix = page.get_by_role("table").filter(has=page.get_by_text("study_summary")).last
    for study in studies:
        expect(matrix.get_by_role("cell", name=study, exact=True)).to_be_visible()
    # The failed study comes first.
    expect(matrix.locator("tbody tr").first).to_contain_text(studies[1])
    expect(matrix.locator("tbody tr").first).to_contain_text("✗")
    # Its errors stand below.
    expect(page.get_by_text("sites RegistryRefusedError").first).to_be_visible()


def test_the_portfolio_is_a_picture_that_leads_to_the_run(page, expect):
    open_metadata(page, "portfolio")
    expect(page.get_by_text(re.compile("^RegistryRefusedError: ")).first).to_be_visible()
    picture = page.get_by_role("img", name="3 studies × ")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 500
    page.get_by_role("link", name="newest run").first.click()
    expect(page.get_by_text("RUN_FAILURE", exact=True)).to_be_visible()


def test_from_the_list_of_runs_two_clicks_lead_to_reason_place_and_failure_report(
    page, expect, failed_run
):
    """The first shows the end of the run's log, the second its last message in full."""
    _, home, _ = failed_run
    page.goto(f"{page.base}/runs?q[0]=status%3AFAILURE")
    page.locator('a[href^="/runs/"]').filter(has_text=re.compile(r"^[0-9a-f]{8}$")).first.click()
    expect(page.get_by_text("RUN_FAILURE", exact=True)).to_be_visible()
    page.get_by_text("View full message").last.click()
    message = page.get_by_role("heading", name="1 of 3 studies failed:")
    expect(message).to_contain_text("the keys may not read this")
    expect(message).to_contain_text("(at http.py:")
    expect(message).to_contain_text(f"{home.folder}/artifacts/restricted/failures/")


def open_metadata(page, name):
    """Open an entry of study_results: Dagster shows long Markdown in a dialog."""
    page.goto(f"{page.base}/assets/study_results?view=events")
    row = page.get_by_role("row").filter(has=page.get_by_role("cell", name=name, exact=True))
    row.get_by_text("[Show Markdown]", exact=True).click()
