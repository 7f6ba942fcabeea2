"""The table ``intervals``."""

from typing import Any

from orch_assets import SplitTable, split_withheld, study_pipeline


@study_pipeline(group="registry", kinds=("table",), reconciled=True)
def intervals(study_key: str, sdk: Any, study_logger: Any) -> SplitTable:
    """Visit definitions of a study: the schedule, its windows and forms."""
    return split_withheld("intervals", sdk.intervals.batches(study_key))
