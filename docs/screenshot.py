# ruff: noqa: INP001 - a script, no package
"""Makes docs/ui.png: the real UI after a run over made-up studies, one of which failed.

Run it from the project's folder as ``python -m docs.screenshot``; it needs Chromium.
"""

import tempfile
from pathlib import Path

from orch_assets.demo import DemoServer
from orch_assets_tests.support.browser import open_page
from orch_assets_tests.support.processes import Home, registry_settings

_SHOWN_STUDY = "ONC-301"
_FAILED_STUDY = "NEURO-410"


def main() -> None:
    """Run the main job on the simulator, which forbids one study; picture the table ``records``."""
    from playwright.sync_api import expect

    with DemoServer() as server, tempfile.TemporaryDirectory(prefix="orch-") as folder:
        server.registry.forbid_study(_FAILED_STUDY)
        home = Home(Path(folder), registry_settings(server))
        home.run("python", "-m", "orch_assets", "run")
        with home.webserver() as url, open_page() as page:
            page.goto(f"{url}/assets/records?view=partitions&partition={_SHOWN_STUDY}")
            expect(page.get_by_text("Failed (1)")).to_be_visible()
            expect(page.get_by_text("withheld_rows")).to_be_visible()
            page.screenshot(path=Path(__file__).parent / "ui.png")


if __name__ == "__main__":
    main()
