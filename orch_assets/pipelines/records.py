"""The table ``records``."""

from typing import TYPE_CHECKING, Any

from orch_assets import SplitTable, split_withheld, study_pipeline

if TYPE_CHECKING:
    import pyarrow as pa


@study_pipeline(group="registry", kinds=("table",), reconciled=True)
def records(study_key: str, sdk: Any, study_logger: Any, variables: "pa.Table") -> SplitTable:
    """Records of a study (one eCRF instance each), ``record_data`` as JSON text.

    Values of withheld variables are in the companion of the same name in the restricted store.
    """
    return split_withheld("records", sdk.records.batches(study_key), variables)
