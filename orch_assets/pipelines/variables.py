"""The table ``variables``."""

from typing import Any

from orch_assets import SplitTable, split_withheld, study_pipeline


@study_pipeline(group="registry", kinds=("table",), reconciled=True)
def variables(study_key: str, sdk: Any, study_logger: Any) -> SplitTable:
    """Variables of a study's forms: the data dictionary."""
    return split_withheld("variables", sdk.variables.batches(study_key))
