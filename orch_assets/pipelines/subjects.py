"""The table ``subjects``."""

from typing import Any

from orch_assets import SplitTable, split_withheld, study_pipeline


@study_pipeline(group="registry", kinds=("table",), reconciled=True)
def subjects(study_key: str, sdk: Any, study_logger: Any) -> SplitTable:
    """Subjects of a study, with site, status and keywords."""
    return split_withheld("subjects", sdk.subjects.batches(study_key))
