"""Figures and documents that pipelines return: stored, handed on, and shown where asked for."""

import io

import plotly.graph_objects as go
from matplotlib.figure import Figure
from matplotlib.image import imread

from orch_assets import Document, study_pipeline
from orch_assets.stores import ArtifactKind, LocalPipelineStore
from orch_assets_tests.support.harness import (
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
