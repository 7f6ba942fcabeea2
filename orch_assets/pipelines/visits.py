"""The table ``visits``."""

from typing import TYPE_CHECKING, Any

from orch_assets import SplitTable, split_withheld, study_pipeline

if TYPE_CHECKING:
    import pyarrow as pa


@study_pipeline(group="registry", kinds=("table",))
def visits(
    study_key: str, sdk: Any, study_logger: Any, variables: "pa.Table", intervals: "pa.Table"
) -> SplitTable:
    """Visits of a study's subjects, with their dates.

    Dates that answer withheld variables, or are counted from such, are in the companion of the
    same name in the restricted store.
    """
    table = sdk.visits.table(study_key)
    study_logger.info("%d visits", table.num_rows)
    return split_withheld("visits", table, variables, intervals)
