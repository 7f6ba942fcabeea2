"""The table ``codings``."""

from typing import TYPE_CHECKING, Any

from orch_assets import SplitTable, split_withheld, study_pipeline

if TYPE_CHECKING:
    import pyarrow as pa


@study_pipeline(group="registry", kinds=("table",), reconciled=True)
def codings(study_key: str, sdk: Any, study_logger: Any, variables: "pa.Table") -> SplitTable:
    """Codings of a study: verbatim terms and the dictionary terms assigned to them.

    Codings of withheld variables are in the companion of the same name in the restricted store.
    """
    return split_withheld("codings", sdk.codings.batches(study_key), variables)
