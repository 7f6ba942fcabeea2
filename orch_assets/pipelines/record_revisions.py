"""The table ``record_revisions``."""

from typing import TYPE_CHECKING, Any

from orch_assets import PreviousResult, SplitTable, split_withheld, study_pipeline
from orch_assets.imednet.descriptions import described_columns
from orch_assets.imednet.models import RecordRevision

if TYPE_CHECKING:
    import pyarrow as pa


@study_pipeline(
    group="registry",
    kinds=("table",),
    reconciled=True,
    incremental=True,
    columns=described_columns(RecordRevision),
)
def record_revisions(
    study_key: str,
    sdk: Any,
    study_logger: Any,
    variables: "pa.Table",
    *,
    previous: PreviousResult | None = None,
) -> SplitTable:
    """Audit trail of a study's records: who saved what when and why.

    - Grain: one row for each revision of a record.
    - Key: ``record_revision_id``; rows are sorted by it.
    - Endpoint: ``/studies/{studyKey}/recordRevisions``.
    - Refresh: what has a new ``date_created``; merged with the stored table.
    - Withheld: reasons given on forms with withheld variables, and fields that the API's
      description doesn't name (``extra``).
    """
    return split_withheld(
        "record_revisions", sdk.record_revisions.refresh(study_key, previous), variables
    )
