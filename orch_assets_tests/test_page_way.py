"""A page's way from the HTTP response to the commit: short, and as the documents draw it."""

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import pyarrow as pa

import orch_assets
from orch_assets.imednet.connections.receiving import ReceivedAnswer
from orch_assets.imednet.http import Answer
from orch_assets.imednet.pages import Page, PageAnswer
from orch_assets.imednet.rows import WireRows
from orch_assets.stores.spooling import Spooled
from orch_assets_tests.scenarios.extraction.lanes import bench

PACKAGE = Path(orch_assets.__file__).parent
DRAWING = PACKAGE.parent / "docs" / "explanation" / "a-pages-way.md"
MOST_MODULES = 26

# What a page is on its way, beside its bytes and its Arrow tables.
FORMS = (httpx.Response, ReceivedAnswer, Answer, PageAnswer, Page, WireRows, Spooled)


def is_the_page(value: Any) -> bool:
    """Return whether a value is, or holds as its element, a page of records in one of its forms."""
    if isinstance(value, (pa.Table, pa.RecordBatch)):
        return "record_data" in value.schema.names
    if isinstance(value, bytes):
        return b'"recordId"' in value
    if type(value) in {tuple, list}:
        return any(map(is_the_page, value[:3]))
    return isinstance(value, FORMS)


@contextmanager
def traced(modules: set[str]) -> Iterator[None]:
    """Collect the modules of the package with a function that takes, returns or yields the page."""

    def profile(frame: FrameType, event: str, returned: Any) -> None:
        code = frame.f_code
        path = Path(code.co_filename)
        if event not in {"call", "return"} or PACKAGE not in path.parents:
            return
        module = path.relative_to(PACKAGE).as_posix()
        # Through lazy.py, only Python 3.11 makes an attribute.
        if module in modules or module == "lazy.py" or module.startswith("demo/"):
            return
        arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        values = [frame.f_locals.get(name) for name in arguments]
        if any(map(is_the_page, [*values, returned])):
            modules.add(module)

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def drawn() -> set[str]:
    """Return the modules in the drawing."""
    _, picture, _ = re.split(r"^```.*\n", DRAWING.read_text(), maxsplit=2, flags=re.MULTILINE)
    return set(re.findall(r"[\w/]+\.py", picture))


def test_a_page_passes_few_modules_and_these_are_the_drawn_ones(tmp_path: Path) -> None:
    passed: set[str] = set()
    with bench(tmp_path) as lanes:
        lanes.reset()
        sdk = lanes.sdk(page_size=500)  # one page
        with traced(passed):
            results = lanes.run(sdk, "variables", "records")
        assert results["records"].failure is None
        assert lanes.is_whole("records")
    assert passed == drawn()
    assert len(passed) <= MOST_MODULES
