"""The table ``forms``."""

from typing import Any

from orch_assets import PreviousResult, SplitTable, split_withheld, study_pipeline
from orch_assets.imednet.descriptions import described_columns
from orch_assets.imednet.models import Form


@study_pipeline(
    group="registry",
    kinds=("table",),
    reconciled=True,
    incremental=True,
    columns=described_columns(Form),
)
def forms(
    study_key: str, sdk: Any, study_logger: Any, *, previous: PreviousResult | None = None
) -> SplitTable:
    """Forms (eCRFs) of a study, with their revision; soft-deleted ones too.

    - Grain: one row for each form.
    - Key: ``form_id``; rows are sorted by it.
    - Endpoint: ``/studies/{studyKey}/forms``.
    - Refresh: what has a new ``date_modified``; merged with the stored table.
    - Withheld: fields that the API's description doesn't name (``extra``).
    """
    return split_withheld("forms", sdk.forms.refresh(study_key, previous))
