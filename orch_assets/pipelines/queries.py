"""The table ``queries``."""

from typing import TYPE_CHECKING, Any

from orch_assets import SplitTable, split_withheld, study_pipeline

if TYPE_CHECKING:
    import pyarrow as pa


@study_pipeline(group="registry", kinds=("table",), reconciled=True)
def queries(study_key: str, sdk: Any, study_logger: Any, variables: "pa.Table") -> SplitTable:
    """Queries of a study with the history of their comments.

    All queries are here; the texts of those that may concern withheld variables are in the
    companion of the same name in the restricted store.
    """
    return split_withheld("queries", sdk.queries.batches(study_key), variables)
