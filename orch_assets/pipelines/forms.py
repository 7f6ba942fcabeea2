"""The table ``forms``."""

from typing import TYPE_CHECKING, Any

from orch_assets import study_pipeline

if TYPE_CHECKING:
    import pyarrow as pa


@study_pipeline(group="registry", kinds=("table",))
def forms(study_key: str, sdk: Any, study_logger: Any) -> "pa.Table":
    """Forms (eCRFs) of a study, with their revision."""
    table = sdk.forms.table(study_key)
    study_logger.info("%d forms", table.num_rows)
    return table
