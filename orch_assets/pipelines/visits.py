"""The table ``visits``."""

from typing import TYPE_CHECKING, Any

from orch_assets import SplitTable, split_withheld, study_pipeline

if TYPE_CHECKING:
    import pyarrow as pa


@study_pipeline(group="registry", kinds=("table",), reconciled=True)
def visits(
    study_key: str, sdk: Any, study_logger: Any, variables: "pa.Table", intervals: "pa.Table"
) -> SplitTable:
    """Visits of a study's subjects, with their dates.

    Dates that answer withheld variables, or are counted from such, are in the companion of the
    same name in the restricted store.
    """
    return split_withheld("visits", sdk.visits.batches(study_key), variables, intervals)
