"""The table ``variables``."""

from typing import Any

from orch_assets import study_pipeline


@study_pipeline(group="registry", kinds=("table",), reconciled=True)
def variables(study_key: str, sdk: Any, study_logger: Any) -> Any:
    """Variables of a study's forms: the data dictionary."""
    return sdk.variables.batches(study_key)
