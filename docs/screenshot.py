# ruff: noqa: INP001 - a script, no package
"""Makes the pictures in docs/: the real UI, and a report, after a run over made-up studies.

Run it from the project's folder as ``python -m docs.screenshot``; it needs Chromium.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from orch_assets.demo import DemoServer
from orch_assets_tests.support.browser import open_page
from orch_assets_tests.support.processes import Home, registry_settings

if TYPE_CHECKING:
    from playwright.sync_api import Page

_DOCS = Path(__file__).parent
_SHOWN_STUDY = "ONC-301"
_FAILED_STUDY = "NEURO-410"
_COLOURS = 64


def main() -> None:
    """Run the main job on the simulator, which forbids one study; picture what people look at."""
    with DemoServer() as server, tempfile.TemporaryDirectory(prefix="orch-") as folder:
        server.registry.forbid_study(_FAILED_STUDY)
        home = Home(Path(folder), registry_settings(server))
        home.run("python", "-m", "orch_assets", "run")
        report = Path(folder) / "report.html"
        home.run(
            "python", "-m", "orch_assets", "report", "--study", _SHOWN_STUDY, "--to", str(report)
        )
        with home.webserver() as url, open_page() as page:
            _picture_records(page, url)
            _picture_previews(page, url)
            _picture_report(page, report)


def _picture_records(page: "Page", url: str) -> None:
    from playwright.sync_api import expect

    page.goto(f"{url}/assets/records?view=partitions&partition={_SHOWN_STUDY}")
    expect(page.get_by_text("Failed (1)")).to_be_visible()
    expect(page.get_by_text("withheld_rows")).to_be_visible()
    page.screenshot(path=_DOCS / "ui.png")


def _picture_previews(page: "Page", url: str) -> None:
    for asset, file in (("study_charts", "study-charts.png"), ("variables", "first-rows.png")):
        page.goto(f"{url}/assets/{asset}?view=partitions&partition={_SHOWN_STUDY}")
        page.get_by_text("Show Markdown").click()
        page.get_by_role("button", name="Close").wait_for()
        page.wait_for_timeout(1000)  # the dialog fades in
        page.screenshot(path=_DOCS / file)
        _reduce(_DOCS / file)


def _picture_report(page: "Page", report: Path) -> None:
    page.route(report.as_uri(), lambda route: route.continue_())
    page.set_viewport_size({"width": 1200, "height": 900})
    page.goto(report.as_uri())
    page.screenshot(path=_DOCS / "report.png")
    _reduce(_DOCS / "report.png")


def _reduce(file: Path) -> None:
    """Reduce a picture to a few colours, so that its file is small."""
    from PIL import Image

    with Image.open(file) as image:
        reduced = image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    reduced.save(file, optimize=True)


if __name__ == "__main__":
    main()
