"""The table ``records``."""

from typing import TYPE_CHECKING, Any

from orch_assets import PreviousResult, SplitTable, split_withheld, study_pipeline
from orch_assets.imednet.descriptions import described_columns
from orch_assets.imednet.models import Record

if TYPE_CHECKING:
    import pyarrow as pa


@study_pipeline(
    group="registry",
    kinds=("table",),
    reconciled=True,
    incremental=True,
    columns=described_columns(Record),
)
def records(
    study_key: str,
    sdk: Any,
    study_logger: Any,
    variables: "pa.Table",
    *,
    previous: PreviousResult | None = None,
) -> SplitTable:
    """Records of a study, ``record_data`` as JSON text; deleted ones too.

    - Grain: one row for each record (one eCRF instance).
    - Key: ``record_id``; rows are sorted by it.
    - Endpoint: ``/studies/{studyKey}/records``.
    - Refresh: what has a new ``date_modified``; merged with the stored table.
    - Withheld: values of withheld variables, and fields that the API's description doesn't name
      (``extra``).
    """
    return split_withheld("records", sdk.records.refresh(study_key, previous), variables)
