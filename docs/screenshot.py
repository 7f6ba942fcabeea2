# ruff: noqa: INP001 - a script, no package
"""Makes the pictures of the docs: the UI, and a report, after a run in which 3 studies failed.

Run it from the project's folder as ``python -m docs.screenshot``; it needs Chromium and Pillow.
"""

import re
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from orch_assets.demo import DemoServer
from orch_assets.demo.faults import Fault
from orch_assets_tests.support.browser import open_page
from orch_assets_tests.support.processes import Home, registry_settings

_DOCS = Path(__file__).parent
_SHOWN_STUDY = "ONC-301"
_FORBIDDEN_STUDY = "CARD-202"
_DAMAGED_STUDIES = ("NEURO-410", "ENDO-215")
_COLORS = 256


def main() -> None:
    """Run the main job on the simulator, in which three studies fail for two causes."""
    with DemoServer() as server, tempfile.TemporaryDirectory(prefix="orch-") as folder:
        home = Home(Path(folder), registry_settings(server))
        home.run("python", "-m", "orch_assets", "run", timeout=300)
        server.registry.forbid_study(_FORBIDDEN_STUDY)
        for study in _DAMAGED_STUDIES:
            server.faults.add(Fault("html", endpoint="codings", study_key=study))
        home.run("python", "-m", "orch_assets", "run", timeout=300)
        report = Path(folder) / "report.html"
        shown = ("--study", _SHOWN_STUDY, "--to", str(report))
        home.run("python", "-m", "orch_assets", "report", *shown)
        with home.webserver() as url, open_page() as page:
            _partitions(page, url)
            _failed_run(page, url)
            _failed_study(page, url)
            _portfolio(page, url)
            _previews(page, url)
            _report(page, report)


def _partitions(page: Any, url: str) -> None:
    from playwright.sync_api import expect

    page.goto(f"{url}/assets/records?view=partitions&partition={_SHOWN_STUDY}")
    expect(page.get_by_text("Failed (1)")).to_be_visible()
    expect(page.get_by_text("withheld_rows")).to_be_visible()
    _save(page, "ui.png")


def _failed_run(page: Any, url: str) -> None:
    """Picture the way from the list of runs to a failure: the list, the first and second click."""
    from playwright.sync_api import expect

    page.goto(f"{url}/runs?q[0]=status%3AFAILURE")
    run = page.locator('a[href^="/runs/"]').filter(has_text=re.compile(r"^[0-9a-f]{8}$")).first
    expect(run).to_be_visible()
    page.wait_for_timeout(1000)
    _save(page, "failure-runs.png")
    run.click()
    expect(page.get_by_text("RUN_FAILURE", exact=True)).to_be_visible()
    page.wait_for_timeout(1000)
    _save(page, "failure-run.png")
    page.set_viewport_size({"width": 1400, "height": 1300})
    page.wait_for_timeout(1000)
    page.get_by_text("View full message").first.click()
    message = page.get_by_role("heading", name="3 of 12 studies failed:")
    expect(message).to_be_visible()
    page.wait_for_timeout(1000)
    box = message.bounding_box()
    table = page.get_by_role("table").filter(has_text="failed_studies").last.bounding_box()
    # Below the table is a stack trace, with paths of this computer.
    area = {"x": box["x"] - 24, "y": box["y"] - 24, "width": box["width"] + 48}
    _save(page, "failure-message.png", {**area, "height": table["y"] + table["height"] - area["y"]})
    page.set_viewport_size({"width": 1400, "height": 900})


def _failed_study(page: Any, url: str) -> None:
    from playwright.sync_api import expect

    page.goto(f"{url}/assets/codings?view=partitions&partition={_DAMAGED_STUDIES[0]}")
    expect(page.get_by_text("failure_report")).to_be_visible()
    _save(page, "failure-study.png")


def _portfolio(page: Any, url: str) -> None:
    from playwright.sync_api import expect

    page.goto(f"{url}/assets/study_results?view=events")
    page.get_by_text("[Show Markdown]", exact=True).first.click()
    expect(page.get_by_role("img", name=" failed")).to_be_visible()
    page.wait_for_timeout(1000)
    _save(page, "portfolio.png")


def _previews(page: Any, url: str) -> None:
    page.goto(f"{url}/assets/study_charts?view=partitions&partition={_SHOWN_STUDY}")
    page.get_by_text("Show Markdown").click()
    page.get_by_role("button", name="Close").wait_for()
    page.wait_for_timeout(1000)  # the dialog fades in
    _save(page, "study-charts.png")


def _report(page: Any, report: Path) -> None:
    page.route(report.as_uri(), lambda route: route.continue_())
    page.set_viewport_size({"width": 1200, "height": 900})
    page.goto(report.as_uri())
    _save(page, "report.png")


def _save(page: Any, name: str, area: dict[str, float] | None = None) -> None:
    """Store the page, or an area of it, in few colors, which halves the file."""
    from PIL import Image

    picture = Image.open(BytesIO(page.screenshot(clip=area))).convert("RGB").quantize(_COLORS)
    picture.save(_DOCS / name, optimize=True)


if __name__ == "__main__":
    main()
