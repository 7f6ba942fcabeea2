"""Figures and documents that pipelines return: stored, handed on, and shown where asked for."""

import base64
import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import dagster as dg
import matplotlib as mpl
import pandas as pd
import plotly.graph_objects as go
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from orch_assets import Document, SplitTable, study_pipeline
from orch_assets.defs.io.io_manager import LocalPipelineIOManager
from orch_assets.stores import ArtifactKind, LocalPipelineStore
from orch_assets.stores.formats.documents import is_figure, rendered
from orch_assets_tests.support.browser import CHROMIUM, open_page
from orch_assets_tests.support.harness import (
    Account,
    definitions,
    everything_logged,
    execute,
    instance,
    materializations,
    observations,
)

PLANTED = "Planted, Jane"


def a_figure(title: str = PLANTED) -> Figure:
    figure = Figure(figsize=(2, 1))
    axes = figure.subplots()
    axes.plot([1, 2, 3])
    axes.set_title(title)
    return figure


def run(folder, *functions, select=None):
    """Run pipelines for one study; return what they stored, logged and failed with."""
    with instance("ONC-301") as real:
        ended = execute(definitions(folder, *functions), real, "ONC-301", select=select)
        return (
            LocalPipelineStore(folder / "artifacts"),
            {f.__name__: materializations(real, f.__name__).get("ONC-301") for f in functions},
            {f.__name__: observations(real, f.__name__).get("ONC-301") for f in functions},
            everything_logged(real, ended),
        )


@study_pipeline
def chart(study_key, sdk, study_logger):
    return a_figure()


@study_pipeline
def page(study_key, sdk, study_logger):
    return Document(go.Figure(go.Bar(x=[1], y=[2], name=PLANTED)))


@study_pipeline
def report(study_key, sdk, study_logger):
    return Document(b"%PDF-1.4 " + PLANTED.encode(), "application/pdf")


@study_pipeline
def sizes(study_key, sdk, study_logger, chart, page, report):
    """Takes documents: bytes, each with its media type."""
    assert imread(io.BytesIO(chart.content)).shape[2] == 4
    return {each.media_type: len(each.content) for each in (chart, page, report)}


def test_figures_and_bytes_are_stored_by_their_media_type_and_are_not_shown(tmp_path):
    """Nothing of what a document shows is in the event log."""
    store, events, failures, logged = run(tmp_path, chart, page, report, sizes)
    assert failures == dict.fromkeys(failures)
    kinds = {"chart": ArtifactKind.PNG, "page": ArtifactKind.HTML, "report": ArtifactKind.PDF}
    for name, kind in kinds.items():
        data = store.download_document(f"{name}/ONC-301", kind=kind)
        (event,) = events[name]
        assert event["bytes"] == len(data)
        assert event["dagster/uri"] == store.uri(f"{name}/ONC-301", kind=kind)
        assert event["tags"] == {"dagster/data_version": event["sha256"]}
        assert "preview" not in event
    found = store.download_json("sizes/ONC-301")
    assert sorted(found) == ["application/pdf", "image/png", "text/html"]
    assert PLANTED not in logged


@study_pipeline
def shown(study_key, sdk, study_logger):
    return Document(a_figure("Enrolment"), show=True)


@study_pipeline
def drawing(study_key, sdk, study_logger):
    return Document(a_figure("Enrolment"), "image/svg+xml", show=True)


@study_pipeline
def too_large(study_key, sdk, study_logger):
    return Document(b"\x89PNG\r\n\x1a\n" + bytes(23_040), "image/png", show=True)


@study_pipeline
def no_picture(study_key, sdk, study_logger):
    return Document(b"%PDF-", "application/pdf", show=True)


@study_pipeline
def withheld_picture(study_key, sdk, study_logger):
    return SplitTable(Document(b"%PDF-", "application/pdf"), Document(a_figure(), show=True))


def test_a_small_picture_is_in_the_event_if_its_author_asks_for_it(tmp_path):
    """What is too large, no picture, or withheld is stored only."""
    functions = [shown, drawing, too_large, no_picture, withheld_picture]
    store, events, failures, logged = run(tmp_path, *functions)
    assert failures == dict.fromkeys(failures)
    previews = {name: found[0].get("preview") for name, found in events.items()}
    data = store.download_document("shown/ONC-301", kind=ArtifactKind.PNG)
    encoded = base64.b64encode(data).decode()
    assert previews["shown"] == f"![preview](data:image/png;base64,{encoded})"
    assert previews["drawing"].startswith("![preview](data:image/svg+xml;base64,")
    assert previews["too_large"].endswith("it has 30 KB in base64, and at most 30 KB are shown.")
    assert "show only PNG and SVG" in previews["no_picture"]
    assert previews["withheld_picture"] is None
    assert events["withheld_picture"][0]["withheld_uri"].endswith(".png")
    assert PLANTED not in logged
    assert base64.b64encode(b"\x89PNG").decode()[:5] in logged


def picture_of(kind):
    values = {
        "text": Document(PLANTED, "text/html"),
        "without_type": Document(PLANTED.encode()),
        "other_type": Document(PLANTED.encode(), "image/gif"),
        "plotly_as_pdf": Document(go.Figure(), "application/pdf"),
        "wrong_bytes": Document(PLANTED.encode(), "image/png"),
        "several": {PLANTED: a_figure(), "b": a_figure()},
        "listed": [a_figure()],
    }

    @study_pipeline(name=kind)
    def pipeline(study_key, sdk, study_logger):
        return values[kind]

    pipeline.__name__ = kind
    return pipeline


def test_what_is_no_document_is_refused_with_what_to_do_and_without_its_content(tmp_path):
    said = {
        "text": "A Document holds str. Give it a matplotlib or plotly figure, or bytes",
        "without_type": "A Document of bytes has no media type.",
        "other_type": "can't be stored. Use application/pdf, image/png, image/svg+xml or text/html",
        "plotly_as_pdf": "A plotly figure can't be stored as 'application/pdf'. Use text/html.",
        "wrong_bytes": "was returned as image/png, but its bytes are something else.",
        "several": "is a dict with documents, which can't be stored together.",
        "listed": "is not a table and is not JSON-serializable.",
    }
    functions = [picture_of(kind) for kind in said]
    with instance("ONC-301") as real:
        defs = definitions(tmp_path, *functions, registry=Account())
        logged = everything_logged(real, execute(defs, real, "ONC-301"))
        errors = {name: observations(real, name)["ONC-301"]["error"] for name in said}
    for name, text in said.items():
        assert text in errors[name]
    assert PLANTED not in logged


def test_a_pipeline_that_returns_another_kind_than_before_hands_on_the_new_one(tmp_path):
    """An earlier table of the same name is not taken for the result."""
    returned = [pd.DataFrame({"n": [1]}), a_figure(), pd.DataFrame({"n": [1, 2]})]
    seen = []

    @study_pipeline
    def changing(study_key, sdk, study_logger):
        return returned.pop(0)

    @study_pipeline
    def taking(study_key, sdk, study_logger, changing):
        seen.append(type(changing).__name__)
        return len(seen)

    with instance("ONC-301") as real:
        defs = definitions(tmp_path, changing, taking)
        for _ in range(3):
            execute(defs, real, "ONC-301", select=["changing"])
            execute(defs, real, "ONC-301", select=["taking"])  # read from the store
    assert seen == ["DataFrame", "Document", "DataFrame"]


@pytest.mark.parametrize("thumbnail", ["text", b"<svg/>", b""])
def test_a_thumbnail_that_is_no_picture_fails_before_anything_is_stored(tmp_path, thumbnail):
    @study_pipeline
    def letter(study_key, sdk, study_logger):
        return Document(b"<p>", "text/html", show=True, thumbnail=thumbnail)

    store, _, failed, _ = run(tmp_path, letter)
    assert "thumbnail of a Document must be the bytes of a PNG" in failed["letter"]["error"]
    assert not store.exists("letter/ONC-301", kind=ArtifactKind.HTML)


def test_a_media_type_with_parameters_is_shown_as_its_type(tmp_path):
    @study_pipeline
    def drawing(study_key, sdk, study_logger):
        return Document(b"<svg/>", "image/svg+xml; charset=utf-8", show=True)

    _, made, _, _ = run(tmp_path, drawing)
    assert made["drawing"][0]["preview"].startswith("![preview](data:image/svg+xml;base64,")


def test_an_ordinary_asset_stores_and_loads_documents(tmp_path):
    @dg.asset
    def chart() -> Document:
        return Document(a_figure("Sites"), show=True)

    @dg.asset
    def length(chart: Document) -> int:
        return len(chart.content)

    io_manager = LocalPipelineIOManager(root=str(tmp_path))
    result = dg.materialize([chart, length], resources={"io_manager": io_manager})
    (event,) = result.asset_materializations_for_node("chart")
    assert event.metadata["preview"].value.startswith("![preview](data:image/png;base64,")
    assert result.output_for_node("length") == event.metadata["bytes"].value


@pytest.mark.parametrize("media_type", ["image/png", "image/svg+xml", "application/pdf"])
def test_the_same_figure_is_the_same_version_on_any_day_and_thread(media_type, monkeypatch):
    """Neither a date nor the version of matplotlib is in it, and formulas are never mixed up."""
    titles = [rf"$\alpha_{{{number}}}$" for number in range(6)]
    alone = [rendered(a_figure(title), media_type)[0] for title in titles]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    with ThreadPoolExecutor(6) as pool:
        together = pool.map(lambda title: rendered(a_figure(title), media_type)[0], titles * 3)
        assert list(together) == alone * 3
    assert len(set(alone)) == len(titles)
    assert mpl.__version__.encode() not in alone[0]
    assert mpl.rcParams["svg.hashsalt"] is None


def test_figures_are_known_without_an_import_of_their_packages():
    """Subclasses are figures, too; other objects of the same name are not."""

    class Own(Figure):
        pass

    assert is_figure(Own())
    assert is_figure(go.FigureWidget) is False
    assert not is_figure(type("Figure", (), {})())
    code = (
        "import sys; from orch_assets.defs.io import io_manager; "
        "sys.exit(any(name in sys.modules for name in ('matplotlib', 'plotly')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_plotly_page_draws_its_figure_without_a_network():
    page_bytes, _ = rendered(go.Figure(go.Bar(x=["Basel", "Bern"], y=[2, 3])))
    asked = []
    with open_page() as browser_page:
        browser_page.on("request", lambda request: asked.append(request.url))
        browser_page.set_content(page_bytes.decode())
        browser_page.wait_for_selector(".bars path")
        assert browser_page.locator(".xtick").all_text_contents() == ["Basel", "Bern"]
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == []
