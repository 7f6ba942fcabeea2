"""The table ``tombstones``."""

from typing import TYPE_CHECKING, Any

from orch_assets import study_pipeline
from orch_assets.imednet.history.change_columns import TOMBSTONES

if TYPE_CHECKING:
    from orch_assets import PreviousResult, TableHistory


@study_pipeline(group="history", kinds=("table",), incremental=True, columns=TOMBSTONES)
def tombstones(
    study_key: str,
    sdk: Any,
    study_logger: Any,
    codings: "TableHistory",
    forms: "TableHistory",
    intervals: "TableHistory",
    queries: "TableHistory",
    record_revisions: "TableHistory",
    records: "TableHistory",
    sites: "TableHistory",
    subjects: "TableHistory",
    variables: "TableHistory",
    visits: "TableHistory",
    *,
    previous: "PreviousResult | None" = None,
) -> Any:
    """Rows that vanished from the tables of a study: iMednet no longer returns them.

    Rows that are only marked as deleted stay in their tables and are not listed. Each version is
    compared with the one before it, so the first version of a table gives no rows.

    - Grain: one row for each row that vanished, and another one if it returns.
    - Key: ``endpoint``, ``row_id`` and ``version``; rows are in the order in which they were
      noticed.
    - Endpoint: none; built from the stored versions of all tables but ``users``.
    - Refresh: what was published since; earlier rows stay.
    - Withheld: nothing; the table holds IDs only.
    """
    from orch_assets.imednet.history.vanished_rows import tombstone_table

    tables = {
        "codings": codings,
        "forms": forms,
        "intervals": intervals,
        "queries": queries,
        "record_revisions": record_revisions,
        "records": records,
        "sites": sites,
        "subjects": subjects,
        "variables": variables,
        "visits": visits,
    }
    return tombstone_table(tables, previous)
