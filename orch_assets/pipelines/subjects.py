"""The table ``subjects``."""

from typing import TYPE_CHECKING, Any

from orch_assets import study_pipeline

if TYPE_CHECKING:
    import pyarrow as pa


@study_pipeline(group="registry", kinds=("table",))
def subjects(study_key: str, sdk: Any, study_logger: Any) -> "pa.Table":
    """Subjects of a study, with site, status and keywords."""
    table = sdk.subjects.table(study_key)
    study_logger.info("%d subjects", table.num_rows)
    return table
