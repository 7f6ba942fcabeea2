"""The table ``variables``."""

from typing import TYPE_CHECKING, Any

from orch_assets import study_pipeline

if TYPE_CHECKING:
    import pyarrow as pa


@study_pipeline(group="registry", kinds=("table",))
def variables(study_key: str, sdk: Any, study_logger: Any) -> "pa.Table":
    """Variables of a study's forms: the data dictionary."""
    table = sdk.variables.table(study_key)
    study_logger.info("%d variables", table.num_rows)
    return table
