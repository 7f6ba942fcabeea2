"""The table ``sites``."""

from typing import TYPE_CHECKING, Any

from orch_assets import study_pipeline

if TYPE_CHECKING:
    import pyarrow as pa


@study_pipeline(group="registry", kinds=("table",))
def sites(study_key: str, sdk: Any, study_logger: Any) -> "pa.Table":
    """Sites of a study and their enrolment status."""
    table = sdk.sites.table(study_key)
    study_logger.info("%d sites", table.num_rows)
    return table
