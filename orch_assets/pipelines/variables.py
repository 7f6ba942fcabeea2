"""The table ``variables``."""

from typing import Any

from orch_assets import PreviousResult, SplitTable, split_withheld, study_pipeline
from orch_assets.imednet.descriptions import described_columns
from orch_assets.imednet.models import Variable


@study_pipeline(
    group="registry",
    kinds=("table",),
    reconciled=True,
    incremental=True,
    columns=described_columns(Variable),
)
def variables(
    study_key: str, sdk: Any, study_logger: Any, *, previous: PreviousResult | None = None
) -> SplitTable:
    """Variables of a study's forms: the data dictionary; deleted ones too.

    - Grain: one row for each variable of a form.
    - Key: ``variable_id``; rows are sorted by it.
    - Endpoint: ``/studies/{studyKey}/variables``.
    - Refresh: whole.
    - Withheld: fields that the API's description doesn't name (``extra``).
    """
    return split_withheld("variables", sdk.variables.refresh(study_key, previous))
