"""The table ``visits``."""

from typing import TYPE_CHECKING, Any

from orch_assets import PreviousResult, SplitTable, split_withheld, study_pipeline
from orch_assets.imednet.descriptions import described_columns
from orch_assets.imednet.models import Visit

if TYPE_CHECKING:
    import pyarrow as pa


@study_pipeline(
    group="registry",
    kinds=("table",),
    reconciled=True,
    incremental=True,
    columns=described_columns(Visit),
)
def visits(
    study_key: str,
    sdk: Any,
    study_logger: Any,
    variables: "pa.Table",
    intervals: "pa.Table",
    *,
    previous: PreviousResult | None = None,
) -> SplitTable:
    """Visits of a study's subjects, with their dates; deleted ones too.

    - Grain: one row for each visit of a subject.
    - Key: ``visit_id``; rows are sorted by it.
    - Endpoint: ``/studies/{studyKey}/visits``.
    - Refresh: what has a new ``date_modified``; merged with the stored table.
    - Withheld: dates that answer withheld variables or are counted from such, and fields that the
      API's description doesn't name (``extra``).
    """
    return split_withheld("visits", sdk.visits.refresh(study_key, previous), variables, intervals)
