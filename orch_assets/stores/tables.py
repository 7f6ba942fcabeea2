"""Tables on their way into and out of a store: frames, Arrow tables and streams of batches."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from orch_assets.errors import UnstorableTableError
from orch_assets.marked_names import named, named_type
from orch_assets.refreshing import PartRefresh
from orch_assets.stores.formats.batches import in_blocks
from orch_assets.stores.formats.column_plans import NOTES
from orch_assets.stores.formats.frames import frame_to_arrow
from orch_assets.stores.formats.refusing import storable

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass
class Incoming:
    """A table to be stored: its schema, and its rows block by block.

    Attributes:
        schema: Schema of every block.
        blocks: The rows; can be read once.
        rows: Number of rows read so far.
        before_commit: Called when all rows are written; returns once the table may be committed.
        refresh: How the rows were made from an earlier version; None if they were not.
    """

    schema: "pa.Schema"
    blocks: "Iterable[pa.RecordBatch]"
    rows: int = 0
    before_commit: Callable[[], object] = lambda: None
    refresh: PartRefresh | None = None

    def counted(self) -> "Iterator[pa.RecordBatch]":
        """Yield the blocks and count their rows."""
        for block in self.blocks:
            self.rows += block.num_rows
            yield block


class DeferredStream(ABC):
    """Base class of streams whose table may be committed only after something else is done.

    The store writes all rows, waits for that, and then commits.
    """

    @abstractmethod
    def take_wait(self) -> Callable[[], object]:
        """Return a function that waits; the store calls it before the commit.

        After this call, the stream itself doesn't wait at its end.
        """


class TableStream(Protocol):
    """Record batches with their schema, readable once, such as a ``pyarrow.RecordBatchReader``."""

    @property
    def schema(self) -> "pa.Schema":
        """Schema of every batch."""
        ...

    def __iter__(self) -> "Iterator[pa.RecordBatch]":
        """Yield the batches."""
        ...


Table: TypeAlias = "pd.DataFrame | pa.Table | TableStream"


def incoming(table: Any) -> Incoming:
    """Prepare a ``pandas.DataFrame``, a ``pyarrow.Table`` or a stream of record batches.

    Raises:
        UnstorableTableError: The table is none of these, or can't be stored without a change.
    """
    import pandas as pd
    import pyarrow as pa

    if isinstance(table, pa.Table):
        if not table.num_columns and table.num_rows:
            raise UnstorableTableError("The table has rows but no columns.")
        return incoming_stream(table.to_batches(), table.schema)
    if isinstance(table, pd.DataFrame):
        schema, blocks = frame_to_arrow(table)
        # Without columns there are no blocks, and only the index has the number of rows.
        return Incoming(schema, blocks, rows=0 if len(schema) else len(table))
    schema = getattr(table, "schema", None)
    if isinstance(schema, pa.Schema) and isinstance(table, Iterable):
        return incoming_stream(table, schema)
    raise UnstorableTableError(
        "A table must be a pandas.DataFrame, a pyarrow.Table or a stream of record batches with "
        f"its schema, not {named_type(type(table))}."
    )


def incoming_stream(batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema") -> Incoming:
    """Prepare record batches of one schema.

    Raises:
        UnstorableTableError: The schema is not one, a name in it is not UTF-8, or two of its
            columns have the same name.
    """
    import pyarrow as pa

    if not isinstance(schema, pa.Schema):
        raise UnstorableTableError(
            f"A schema must be a pyarrow.Schema, not {named_type(type(schema))}."
        )
    names = []
    for position, field in enumerate(schema):
        with storable(f"The name of column {position}", "UTF-8"):
            names.append(field.name)
    for position, name in enumerate(names):
        if names.count(name) > 1:
            column = named(name, str(position))
            raise UnstorableTableError(f"Column {column} is there more than once; rename it.")
    metadata = {key: value for key, value in (schema.metadata or {}).items() if key != NOTES}
    schema = schema.with_metadata(metadata or None)
    table = Incoming(schema, in_blocks(_of_schema(batches, schema), schema))
    if isinstance(batches, DeferredStream):
        table.before_commit = batches.take_wait()
    refresh = getattr(batches, "refresh", None)
    table.refresh = refresh if isinstance(refresh, PartRefresh) else None
    return table


def without_notes(table: "pa.Table") -> "pa.Table":
    """Return a table without our metadata for pandas, which is valid only for the stored rows."""
    metadata = {k: v for k, v in (table.schema.metadata or {}).items() if k != NOTES}
    return table.replace_schema_metadata(metadata or None)


def reader_of(
    batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema", resources: contextlib.ExitStack
) -> "pa.RecordBatchReader":
    """Return a reader of batches that releases their resources at its end or when dropped."""
    import pyarrow as pa

    public = without_notes(schema.empty_table()).schema

    def releasing() -> Iterator[Any]:
        with resources:
            yield None  # a generator that has not started is not cleaned up when it is dropped
            for batch in batches:
                yield batch.replace_schema_metadata(public.metadata)

    rows = releasing()
    next(rows)
    return pa.RecordBatchReader.from_batches(public, rows)


def _of_schema(
    batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema"
) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    for batch in batches:
        if not isinstance(batch, pa.RecordBatch):
            raise UnstorableTableError(
                f"A stream must yield pyarrow.RecordBatch objects, not {named_type(type(batch))}."
            )
        if not batch.schema.equals(schema):
            different = [
                named(field.name, str(position))
                for position, field in enumerate(batch.schema)
                if field not in list(schema)
            ]
            raise UnstorableTableError(
                "A batch doesn't have the schema of its stream. Different columns: "
                f"{', '.join(different) or 'their number or order'}."
            )
        yield pa.record_batch(batch.columns, schema=schema)
