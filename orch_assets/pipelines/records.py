"""The table ``records``."""

from typing import TYPE_CHECKING, Any

from orch_assets import SplitTable, split_withheld, study_pipeline

if TYPE_CHECKING:
    import pyarrow as pa


@study_pipeline(group="registry", kinds=("table",))
def records(study_key: str, sdk: Any, study_logger: Any, variables: "pa.Table") -> SplitTable:
    """Records of a study (one eCRF instance each), ``record_data`` as JSON text.

    Values of withheld variables are in the companion of the same name in the restricted store.
    """
    table = sdk.records.table(study_key)
    study_logger.info("%d records", table.num_rows)
    return split_withheld("records", table, variables)
