"""The table ``intervals``."""

from typing import Any

from orch_assets import study_pipeline


@study_pipeline(group="registry", kinds=("table",), reconciled=True)
def intervals(study_key: str, sdk: Any, study_logger: Any) -> Any:
    """Visit definitions of a study: the schedule, its windows and forms."""
    return sdk.intervals.batches(study_key)
