"""Exports of form tables as study pipelines: one asset for each format."""

from collections.abc import Callable, Iterable
from typing import Any

from orch_assets.exports.export_format import FORMATS, TITLES
from orch_assets.exports.stored_forms import stored_forms
from orch_assets.exports.table_export import TableExport
from orch_assets.orchestration.pipeline import study_pipeline
from orch_assets.orchestration.returned_values import SplitTable
from orch_assets.refreshing import StoredTables

# The format with one file for all studies, whose asset isn't partitioned.
OF_ACCOUNT = "duckdb"

_DESCRIPTION = """Form tables of a study as {title} (`{format}`).

    Each file was read back and compared with its table. `export_notes.csv` lists what the format
    can't hold, and `export.json` has hashes, sources and names.

    - Grain: as in ``form_tables``.
    - Endpoint: none; made from ``form_tables``, and only if these have changed.
    - Withheld: the withheld part of ``form_tables``, in the artifact of the same name in the
      restricted store.

    Args:
        strict: Fail the study if the format can't hold something.
    """


def export_asset_name(format_name: str) -> str:
    """Return the name of a format's asset, such as ``form_tables_dataset_json``."""
    return f"form_tables_{format_name.replace('-', '_')}"


def export_pipelines(formats: Iterable[str]) -> list[Callable[..., Any]]:
    """Return the pipelines of formats, each once; without the one that is over all studies."""
    chosen = set(formats) - {OF_ACCOUNT}
    return [_export_pipeline(each) for each in FORMATS if each in chosen]


def _export_pipeline(format_name: str) -> Callable[..., Any]:
    def export(
        study_key: str,
        sdk: Any,  # noqa: ARG001 - every pipeline has it
        study_logger: Any,  # noqa: ARG001 - likewise
        form_tables: StoredTables,
        strict: bool = False,
    ) -> Any:
        stored, withheld = form_tables.table, form_tables.withheld
        table = TableExport(format_name, stored_forms(study_key, stored), study_key, strict)
        if withheld is None:
            return table
        tables = stored_forms(study_key, withheld)
        return SplitTable(
            table, TableExport(format_name, tables, study_key, strict, restricted=True)
        )

    export.__doc__ = _DESCRIPTION.format(format=format_name, title=TITLES[format_name])
    mark = study_pipeline(
        name=export_asset_name(format_name), group="exports", kinds=("file",), pure=True
    )
    return mark(export)
