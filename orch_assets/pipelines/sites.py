"""The table ``sites``."""

from typing import Any

from orch_assets import study_pipeline


@study_pipeline(group="registry", kinds=("table",), reconciled=True)
def sites(study_key: str, sdk: Any, study_logger: Any) -> Any:
    """Sites of a study and their enrolment status."""
    return sdk.sites.batches(study_key)
