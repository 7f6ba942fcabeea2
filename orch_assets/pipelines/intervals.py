"""The table ``intervals``."""

from typing import TYPE_CHECKING, Any

from orch_assets import study_pipeline

if TYPE_CHECKING:
    import pyarrow as pa


@study_pipeline(group="registry", kinds=("table",))
def intervals(study_key: str, sdk: Any, study_logger: Any) -> "pa.Table":
    """Visit definitions of a study: the schedule, its windows and forms."""
    table = sdk.intervals.table(study_key)
    study_logger.info("%d intervals", table.num_rows)
    return table
