"""The table ``codings``."""

from typing import TYPE_CHECKING, Any

from orch_assets import PreviousResult, SplitTable, split_withheld, study_pipeline
from orch_assets.imednet.descriptions import described_columns
from orch_assets.imednet.models import Coding

if TYPE_CHECKING:
    import pyarrow as pa


@study_pipeline(
    group="registry",
    kinds=("table",),
    reconciled=True,
    incremental=True,
    columns=described_columns(Coding),
)
def codings(
    study_key: str,
    sdk: Any,
    study_logger: Any,
    variables: "pa.Table",
    *,
    previous: PreviousResult | None = None,
) -> SplitTable:
    """Codings of a study: verbatim terms and the dictionary terms assigned to them.

    - Grain: one row for each coded value.
    - Key: ``coding_id``; rows are sorted by it.
    - Endpoint: ``/studies/{studyKey}/codings``.
    - Refresh: whole.
    - Withheld: codings of withheld variables, and fields that the API's description doesn't name
      (``extra``).
    """
    return split_withheld("codings", sdk.codings.refresh(study_key, previous), variables)
