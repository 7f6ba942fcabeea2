"""The table ``forms``."""

from typing import Any

from orch_assets import SplitTable, split_withheld, study_pipeline


@study_pipeline(group="registry", kinds=("table",), reconciled=True)
def forms(study_key: str, sdk: Any, study_logger: Any) -> SplitTable:
    """Forms (eCRFs) of a study, with their revision."""
    return split_withheld("forms", sdk.forms.batches(study_key))
