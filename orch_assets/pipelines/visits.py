"""The table ``visits``."""

from typing import TYPE_CHECKING, Any

from orch_assets import study_pipeline

if TYPE_CHECKING:
    import pyarrow as pa


@study_pipeline(group="registry", kinds=("table",))
def visits(study_key: str, sdk: Any, study_logger: Any) -> "pa.Table":
    """Visits of a study's subjects, with their dates."""
    table = sdk.visits.table(study_key)
    study_logger.info("%d visits", table.num_rows)
    return table
