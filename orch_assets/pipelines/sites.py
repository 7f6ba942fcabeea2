"""The table ``sites``."""

from typing import Any

from orch_assets import SplitTable, split_withheld, study_pipeline


@study_pipeline(group="registry", kinds=("table",), reconciled=True)
def sites(study_key: str, sdk: Any, study_logger: Any) -> SplitTable:
    """Sites of a study and their enrolment status."""
    return split_withheld("sites", sdk.sites.batches(study_key))
