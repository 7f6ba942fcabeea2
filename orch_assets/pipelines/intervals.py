"""The table ``intervals``."""

from typing import Any

from orch_assets import PreviousResult, SplitTable, split_withheld, study_pipeline
from orch_assets.imednet.descriptions import described_columns
from orch_assets.imednet.models import Interval


@study_pipeline(
    group="registry",
    kinds=("table",),
    reconciled=True,
    incremental=True,
    columns=described_columns(Interval),
)
def intervals(
    study_key: str, sdk: Any, study_logger: Any, *, previous: PreviousResult | None = None
) -> SplitTable:
    """Visit definitions of a study: the schedule, its windows and forms.

    - Grain: one row for each interval (visit definition).
    - Key: ``interval_id``; rows are sorted by it.
    - Endpoint: ``/studies/{studyKey}/intervals``.
    - Refresh: whole.
    - Withheld: fields that the API's description doesn't name (``extra``).
    """
    return split_withheld("intervals", sdk.intervals.refresh(study_key, previous))
