"""A table to be exported: its schema, and its rows as often as they are needed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orch_assets.refreshing import StoredTable

if TYPE_CHECKING:
    import pyarrow as pa

# The column by which a note names a row.
RECORD_ID: Final = "record_id"


@dataclass(frozen=True)
class ExportedTable:
    """A table of a study.

    Attributes:
        study_key: Key of the study.
        name: Name of the table in its set, such as ``AE``: at most 32 letters, digits and ``_``;
            unique in the study, even if case is ignored.
        schema: The columns. ``label`` in a field's metadata is the column's label, and
            ``form_name`` in the schema's metadata that of the table. See
            :mod:`~orch_assets.exports.readable_labels` for what isn't UTF-8.
        num_rows: Number of rows.
        open_batches: Returns all rows, in batches of the schema; may be called several times.
        uri: URI of the artifact that the table comes from.
        version: SHA-256 of the version of that artifact.
        published_at: When that version was last published: UTC, ISO 8601 with microseconds.
    """

    study_key: str
    name: str
    schema: "pa.Schema"
    num_rows: int
    open_batches: "Callable[[], Iterator[pa.RecordBatch]]"
    uri: str
    version: str
    published_at: str

    @classmethod
    def of_stored(
        cls, study_key: str, name: str, stored: StoredTable, published_at: str
    ) -> "ExportedTable":
        """Return a stored table of a study."""
        return cls(
            study_key=study_key,
            name=name,
            schema=stored.schema,
            num_rows=stored.num_rows,
            open_batches=stored.batches,
            uri=stored.uri,
            version=stored.version,
            published_at=published_at,
        )

    @property
    def label(self) -> str:
        """The form's name in iMednet; the table's name if there is none."""
        return text_of(self.schema.metadata, "form_name") or self.name

    def column_label(self, column: str) -> str:
        """Return a column's label; its name if it has none."""
        return text_of(self.schema.field(column).metadata, "label") or column

    def batches(self, rows: int) -> "Iterator[pa.RecordBatch]":
        """Yield all rows in order, in batches of at most a number of rows."""
        for batch in self.open_batches():
            for start in range(0, batch.num_rows, rows):
                yield batch.slice(start, rows)


def text_of(metadata: "dict[bytes, bytes] | None", key: str) -> str:
    """Return an entry of Arrow metadata, which is UTF-8; empty text if there is none."""
    return (metadata or {}).get(key.encode(), b"").decode()
