"""The tables of a stored set, to be exported; none of them is held in memory."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from orch_assets.exports.exported_table import ExportedTable

if TYPE_CHECKING:
    import pyarrow as pa

    from orch_assets.stores.stored_versions import SetVersion


def stored_forms(
    study_key: str, stored: "SetVersion", names: Collection[str] | None = None
) -> list[ExportedTable]:
    """Return tables of a set, in its order.

    Each is fetched and verified for its schema, and again whenever its rows are read.

    Args:
        study_key: Key of the study.
        stored: The set.
        names: Names of the tables; None for all. Names that the set lacks are ignored.
    """
    return [_exported(study_key, stored, name) for name in stored if names is None or name in names]


def _exported(study_key: str, stored: "SetVersion", name: str) -> ExportedTable:
    def open_batches() -> "Iterator[pa.RecordBatch]":
        return stored.table(name).batches()

    table = stored.table(name)
    return ExportedTable(
        study_key=study_key,
        name=name,
        schema=table.schema,  # the file is closed with the table
        num_rows=table.num_rows,
        open_batches=open_batches,
        uri=stored.uri,
        version=stored.version,
        published_at=stored.publication.published_at,
    )
