"""Debian's Chromium, headless, that reaches nothing but this machine."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium")
_ELSEWHERE = re.compile(r"^\w+://(?!127\.0\.0\.1[:/])")
_PATIENCE_SECONDS = 30


@contextmanager
def open_page() -> Iterator["Page"]:
    """Give a page of 1400 x 900 pixels; its expectations wait up to 30 s."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=1000 * _PATIENCE_SECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1400, "height": 900})
        context.set_default_timeout(1000 * _PATIENCE_SECONDS)
        context.route(_ELSEWHERE, lambda route: route.abort())
        yield context.new_page()
        browser.close()
