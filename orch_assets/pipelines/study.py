"""The table ``study``."""

from typing import Any

from orch_assets import (
    PreviousResult,
    SplitTable,
    StudyNotFoundError,
    split_withheld,
    study_pipeline,
)
from orch_assets.imednet.descriptions import described_columns
from orch_assets.imednet.models import Study
from orch_assets.imednet.refresh.account_reader import require_same_study


@study_pipeline(
    group="registry", kinds=("table",), incremental=True, columns=described_columns(Study)
)
def study(
    study_key: str, sdk: Any, study_logger: Any, *, previous: PreviousResult | None = None
) -> SplitTable:
    """The study's own entry in the account's list of studies.

    - Grain: one row, the study.
    - Key: ``study_id``.
    - Endpoint: ``/studies``.
    - Refresh: whole.
    - Withheld: fields that the API's description doesn't name (``extra``).
    """
    import pyarrow.compute as pc

    listed = sdk.studies.table(study_key)
    # Keys that differ only in case are two studies, even if the API's filter ignores case.
    table = listed.filter(pc.equal(listed["study_key"], study_key))
    if table.num_rows != 1:
        raise StudyNotFoundError(study_key, table.num_rows)
    require_same_study(study_key, table, previous)
    study_logger.info("%d study", table.num_rows)
    return split_withheld("studies", table)
