"""The artifact set ``form_tables``: a table for each form."""

from functools import partial
from typing import TYPE_CHECKING, Any

from orch_assets import PreviousResult, SplitTable, build_form_tables, study_pipeline
from orch_assets.imednet.form_tables import EarlierForms

if TYPE_CHECKING:
    import pyarrow as pa


# For the rows of each part, open and withheld; what exceeds it is stored from a file, form by form.
_MEMORY_BYTES = 64 << 20


@study_pipeline(group="registry", kinds=("table",), pure=True, incremental=True)
def form_tables(
    study_key: str,
    sdk: Any,
    study_logger: Any,
    records: SplitTable,
    variables: "pa.Table",
    forms: "pa.Table",
    *,
    previous: PreviousResult | None = None,
) -> SplitTable:
    """Records of a study as one wide table for each form, with a typed column for each variable.

    Each typed variable also has a column ``<variable>_RAW``, with the answer as entered. If only
    records changed, only the tables of their forms are made again.

    - Grain: one row for each record of the form.
    - Key: ``record_id``; rows are sorted by it.
    - Endpoint: none; built from ``records``, ``variables`` and ``forms``.
    - Withheld: columns of withheld variables, with their RAW columns. They are in the artifact set
      of the same name in the restricted store.
    """
    dictionary = sdk.dictionary(study_key, variables)
    build = partial(
        build_form_tables,
        variables=dictionary.variables,
        forms=forms,
        memory_bytes=_MEMORY_BYTES,
    )
    tables = build(records.table, only_open=True, earlier=EarlierForms.of(previous))
    withheld_before = EarlierForms.of(previous, withheld=True)
    withheld = build(records.withheld, withheld=True, earlier=withheld_before)
    dictionary.confirm()
    both = [part[name] for part in (tables, withheld) for name in part.built]
    anew = "" if len(tables.built) == len(tables) else f" in {len(tables.built)} forms built anew"
    study_logger.info(
        "%d forms, %d records, %d values that don't fit their type%s",
        len(tables),
        sum(table.num_rows for table in tables.values()),
        sum(int(table.schema.metadata[b"misfits"]) for table in both),
        anew,
    )
    return SplitTable(tables, withheld)
