"""The picture ``study_charts``: what ``study_summary`` counts."""

from typing import TYPE_CHECKING, Any

from orch_assets import Document, Skip, study_pipeline
from orch_assets.charts.drawing import draw, png, small_png
from orch_assets.charts.small_cells import min_cell
from orch_assets.charts.summary_panels import panels

if TYPE_CHECKING:
    import pyarrow as pa


@study_pipeline(group="summary", kinds=("png",), pure=True)
def study_charts(
    study_key: str, sdk: Any, study_logger: Any, study_summary: "pa.Table"
) -> Document:
    """Charts of a study: enrolment, open queries, adverse events, overdue visits, entry lag.

    - Grain: one picture (PNG) with six charts. The event has it in small, if it is new.
    - Endpoint: none; drawn from ``study_summary``.
    - Withheld: nothing; the table has counts only.

    Counts below ``ORCH_MIN_CELL`` (5) are merged with their neighbours, or into "others". The same
    counts give the same picture. If none has changed, nothing is drawn, and the event has no
    picture. Without the extra ``charts`` (matplotlib), the studies are skipped.
    """
    try:
        figure = draw(panels(study_summary.to_pylist(), min_cell()), study_key)
    except ImportError as error:
        raise Skip(str(error)) from None
    picture = png(figure)
    figure.clear()  # its parts refer to each other: Python would keep many figures for a while
    return Document(picture, "image/png", show=True, thumbnail=small_png(picture))
