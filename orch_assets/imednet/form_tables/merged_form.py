"""A form's table, made from its earlier version and the records that changed since."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orch_assets.imednet.blinding.record_data import FormReference
from orch_assets.imednet.refresh.merged_rows import merged_rows
from orch_assets.refreshing import StoredTable

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class FormChanges:
    """The records of a form that changed since an earlier version of its table.

    Attributes:
        earlier: The earlier table, sorted by record ID.
        reference: The form's ID and key, as all its records have them in both versions.
        gone: Records that changed or left the form, as they were.
        come: Records that changed or came to the form, as they are; sorted by record ID.
    """

    earlier: StoredTable
    reference: FormReference
    gone: "pa.Table"
    come: "pa.Table"

    @property
    def ids(self) -> "NDArray[Any]":
        """The IDs of all these records, in order."""
        import numpy as np

        return np.union1d(*(part["record_id"].to_numpy() for part in (self.gone, self.come)))


@dataclass(frozen=True)
class MergedForm:
    """A form's table as a stream, which can be read more than once.

    Attributes:
        earlier: The earlier table.
        rows: The rows that changed or came, with the table's schema.
        replaced: The record IDs of the rows that changed, came or left, in order.
        num_rows: The number of rows.
    """

    earlier: StoredTable
    rows: "pa.Table"
    replaced: "NDArray[Any]"
    num_rows: int

    @property
    def schema(self) -> "pa.Schema":
        """The schema of every batch, with the counts of misfits."""
        return self.rows.schema

    def __iter__(self) -> "Iterator[pa.RecordBatch]":
        return merged_rows(self.earlier, self.rows, self.replaced, "record_id", self.num_rows)

    def table(self) -> "pa.Table":
        """Return all rows in memory."""
        import pyarrow as pa

        return pa.Table.from_batches(self, self.schema)


def stored_counts(schema: "pa.Schema", name: str) -> Counter[str]:
    """Return the counts of misfits or of replaced surrogates by column, as a stored table has them.

    Args:
        schema: Schema of the table.
        name: Key of the metadata of fields.
    """
    counts: Counter[str] = Counter()
    for field in schema:
        metadata: Mapping[bytes, bytes] = field.metadata or {}
        counts[field.name] = int(metadata.get(name.encode(), 0))
    return counts
