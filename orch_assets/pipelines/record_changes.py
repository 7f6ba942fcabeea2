"""The table ``record_changes``."""

from typing import TYPE_CHECKING, Any

from orch_assets import SplitTable, study_pipeline
from orch_assets.imednet.history.change_columns import RECORD_CHANGES

if TYPE_CHECKING:
    import pyarrow as pa

    from orch_assets import PreviousResult, TableHistory


@study_pipeline(group="history", kinds=("table",), incremental=True, columns=RECORD_CHANGES)
def record_changes(
    study_key: str,
    sdk: Any,
    study_logger: Any,
    records: "TableHistory",
    record_revisions: "TableHistory",
    variables: "pa.Table",
    *,
    previous: "PreviousResult | None" = None,
) -> SplitTable:
    """What changed in the records of a study, when, and by whom.

    Each version of ``records`` is compared with the one published before it. The first version is
    not listed: the table begins with its changes. A value that was changed twice between two
    readings is listed with its first and its last value only.

    A change has a user, a role and a reason only if exactly one record revision can belong to it. A
    revision belongs to a save if it is dated like the save's record, or up to a minute later. Two
    saves of a record within a minute can't always be told apart.

    - Grain: one row for each field that differs between two versions of a record.
    - Key: ``record_id``, ``attribute``, ``variable`` and ``to_version``; rows are in the order in
      which they were noticed, then by ``record_id``.
    - Endpoint: none; built from the stored versions of ``records`` and ``record_revisions``.
    - Refresh: what was published since; earlier rows stay.
    - Withheld: values of withheld variables, and fields that the API's description doesn't name
      (``extra``), in the table of the same name in the restricted store. When a variable becomes
      blinded, its earlier values move there, too. Reasons given on forms with withheld variables.
    """
    from orch_assets.imednet.history.record_history import record_change_tables

    dictionary = sdk.dictionary(study_key, variables)
    table, withheld = record_change_tables(records, record_revisions, dictionary, previous)
    refresh = table.refresh
    if refresh and not refresh.unchanged and refresh.changes.new + refresh.changes.unchanged:
        dictionary.confirm()
    return SplitTable(table, withheld)
