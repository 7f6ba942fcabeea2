"""The table ``record_revisions``."""

from typing import TYPE_CHECKING, Any

from orch_assets import SplitTable, split_withheld, study_pipeline

if TYPE_CHECKING:
    import pyarrow as pa


@study_pipeline(group="registry", kinds=("table",), reconciled=True)
def record_revisions(
    study_key: str, sdk: Any, study_logger: Any, variables: "pa.Table"
) -> SplitTable:
    """Audit trail of a study's records: who saved what when and why.

    Reasons given on forms with withheld variables are in the companion of the same name in the
    restricted store.
    """
    return split_withheld("record_revisions", sdk.record_revisions.batches(study_key), variables)
