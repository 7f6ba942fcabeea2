"""The table ``record_revisions``."""

from typing import TYPE_CHECKING, Any

from orch_assets import SplitTable, split_withheld, study_pipeline

if TYPE_CHECKING:
    import pyarrow as pa


@study_pipeline(group="registry", kinds=("table",))
def record_revisions(
    study_key: str, sdk: Any, study_logger: Any, variables: "pa.Table"
) -> SplitTable:
    """Audit trail of a study's records: who saved what when and why.

    Reasons given on forms with withheld variables are in the companion of the same name in the
    restricted store.
    """
    table = sdk.record_revisions.table(study_key)
    study_logger.info("%d record revisions", table.num_rows)
    return split_withheld("record_revisions", table, variables)
