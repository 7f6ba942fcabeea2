"""The table ``sites``."""

from typing import Any

from orch_assets import PreviousResult, SplitTable, split_withheld, study_pipeline
from orch_assets.imednet.descriptions import described_columns
from orch_assets.imednet.models import Site


@study_pipeline(
    group="registry",
    kinds=("table",),
    reconciled=True,
    incremental=True,
    columns=described_columns(Site),
)
def sites(
    study_key: str, sdk: Any, study_logger: Any, *, previous: PreviousResult | None = None
) -> SplitTable:
    """Sites of a study and their enrolment status.

    - Grain: one row for each site.
    - Key: ``site_id``; rows are sorted by it.
    - Endpoint: ``/studies/{studyKey}/sites``.
    - Refresh: what has a new ``date_modified``; merged with the stored table.
    - Withheld: fields that the API's description doesn't name (``extra``).
    """
    return split_withheld("sites", sdk.sites.refresh(study_key, previous))
