"""The table ``study``."""

from typing import Any

from orch_assets import SplitTable, StudyNotFoundError, split_withheld, study_pipeline


@study_pipeline(group="registry", kinds=("table",))
def study(study_key: str, sdk: Any, study_logger: Any) -> SplitTable:
    """The study's own entry in the registry's list of studies: one row."""
    import pyarrow.compute as pc

    listed = sdk.studies.table(study_key)
    # Two keys that differ only in case are two studies, whatever the registry's filter makes of it.
    table = listed.filter(pc.equal(listed["study_key"], study_key))
    if table.num_rows != 1:
        raise StudyNotFoundError(study_key, table.num_rows)
    study_logger.info("%d study", table.num_rows)
    return split_withheld("studies", table)
