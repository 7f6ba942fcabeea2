"""The columns of the table ``records`` from which form tables are built."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from orch_assets.imednet.form_tables.form_columns import KEY_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS: Final = (*KEY_COLUMNS, "form_id", "form_key", "record_data")


class RecordColumns:
    """The columns that a table of records has of those that form tables need.

    Args:
        schema: Schema of the records.
        with_data_only: Leave out records without data. The withheld part has such rows for unknown
            fields, which belong to no form.

    Attributes:
        schema: The schema of these columns.
        keys: The fields that form tables take as they are.
    """

    def __init__(self, schema: "pa.Schema", *, with_data_only: bool = False) -> None:
        import pyarrow as pa

        self._names = [name for name in _COLUMNS if name in schema.names]
        self._with_data_only = with_data_only
        self.schema = pa.schema([schema.field(name) for name in self._names])
        self.keys = [field for field in self.schema if field.name in KEY_COLUMNS]

    def select(self, records: "pa.Table | Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        """Yield the columns of records, batch by batch."""
        to_batches: Any = getattr(records, "to_batches", None)
        for batch in to_batches() if to_batches else records:
            selected = batch.select(self._names)
            if self._with_data_only:
                selected = selected.filter(selected["record_data"].is_valid())
            yield selected.replace_schema_metadata(None)
