"""The table ``queries``."""

from typing import TYPE_CHECKING, Any

from orch_assets import PreviousResult, SplitTable, split_withheld, study_pipeline
from orch_assets.imednet.descriptions import described_columns
from orch_assets.imednet.models import Query

if TYPE_CHECKING:
    import pyarrow as pa


@study_pipeline(
    group="registry",
    kinds=("table",),
    reconciled=True,
    incremental=True,
    columns=described_columns(Query),
)
def queries(
    study_key: str,
    sdk: Any,
    study_logger: Any,
    variables: "pa.Table",
    *,
    previous: PreviousResult | None = None,
) -> SplitTable:
    """Queries of a study with the history of their comments.

    - Grain: one row for each query.
    - Key: ``annotation_id``; rows are sorted by it.
    - Endpoint: ``/studies/{studyKey}/queries``.
    - Refresh: what has a new ``date_modified``; merged with the stored table.
    - Withheld: texts of queries that may concern withheld variables, and fields that the API's
      description doesn't name (``extra``).
    """
    return split_withheld("queries", sdk.queries.refresh(study_key, previous), variables)
