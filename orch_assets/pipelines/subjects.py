"""The table ``subjects``."""

from typing import Any

from orch_assets import PreviousResult, SplitTable, split_withheld, study_pipeline
from orch_assets.imednet.descriptions import described_columns
from orch_assets.imednet.models import Subject


@study_pipeline(
    group="registry",
    kinds=("table",),
    reconciled=True,
    incremental=True,
    columns=described_columns(Subject),
)
def subjects(
    study_key: str, sdk: Any, study_logger: Any, *, previous: PreviousResult | None = None
) -> SplitTable:
    """Subjects of a study, with site, status and keywords; deleted ones too.

    - Grain: one row for each subject.
    - Key: ``subject_id``; rows are sorted by it.
    - Endpoint: ``/studies/{studyKey}/subjects``.
    - Refresh: what has a new ``date_modified``; merged with the stored table.
    - Withheld: fields that the API's description doesn't name (``extra``).
    """
    return split_withheld("subjects", sdk.subjects.refresh(study_key, previous))
