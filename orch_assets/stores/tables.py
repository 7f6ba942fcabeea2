"""A table on its way into a store, whatever it came as."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from orch_assets.errors import UnstorableTableError
from orch_assets.marked_names import named, named_type
from orch_assets.stores.formats.batches import in_blocks
from orch_assets.stores.formats.column_plans import NOTES
from orch_assets.stores.formats.frames import frame_to_arrow

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass
class Incoming:
    """A schema and the rows that follow, block by block.

    Attributes:
        schema: of every block.
        blocks: may be read once.
        rows: counts what was read.
        before_commit: called when all rows are written; returns once the table may be committed.
    """

    schema: "pa.Schema"
    blocks: "Iterable[pa.RecordBatch]"
    rows: int = 0
    before_commit: Callable[[], object] = lambda: None

    def counted(self) -> "Iterator[pa.RecordBatch]":
        """Yield the blocks and count their rows."""
        for block in self.blocks:
            self.rows += block.num_rows
            yield block


class DeferredStream(ABC):
    """A stream whose table may be committed only after something else is done.

    Its owner derives from this class; the store then writes all rows first, and waits last.
    """

    @abstractmethod
    def take_wait(self) -> Callable[[], object]:
        """Return what the store calls before it commits; the stream itself then never waits."""


class TableStream(Protocol):
    """Record batches that know their schema, to be read once: a ``pyarrow.RecordBatchReader``."""

    @property
    def schema(self) -> "pa.Schema":
        """Of every batch."""
        ...

    def __iter__(self) -> "Iterator[pa.RecordBatch]":
        """Give the batches."""
        ...


Table: TypeAlias = "pd.DataFrame | pa.Table | TableStream"


def incoming(table: Any) -> Incoming:
    """Take a ``pandas.DataFrame``, a ``pyarrow.Table`` or a stream of record batches.

    Raises:
        UnstorableTableError: it is none of them, or would not come back as it is.
    """
    import pandas as pd
    import pyarrow as pa

    if isinstance(table, pa.Table):
        if not table.num_columns and table.num_rows:
            raise UnstorableTableError("The table has rows but no columns.")
        return incoming_stream(table.to_batches(), table.schema)
    if isinstance(table, pd.DataFrame):
        schema, blocks = frame_to_arrow(table)
        # Rows without columns are in no block: the index alone has them.
        return Incoming(schema, blocks, rows=0 if len(schema) else len(table))
    schema = getattr(table, "schema", None)
    if isinstance(schema, pa.Schema) and isinstance(table, Iterable):
        return incoming_stream(table, schema)
    raise UnstorableTableError(
        "A table is a pandas.DataFrame, a pyarrow.Table or a stream of record batches with its "
        f"schema, not {named_type(type(table))}."
    )


def incoming_stream(batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema") -> Incoming:
    """Take record batches of one schema."""
    import pyarrow as pa

    if not isinstance(schema, pa.Schema):
        raise UnstorableTableError(f"A schema is a pyarrow.Schema, not {named_type(type(schema))}.")
    for position, name in enumerate(schema.names):
        if schema.names.count(name) > 1:
            column = named(name, str(position))
            raise UnstorableTableError(f"Column {column} is there more than once; rename it.")
    metadata = {key: value for key, value in (schema.metadata or {}).items() if key != NOTES}
    schema = schema.with_metadata(metadata or None)
    table = Incoming(schema, in_blocks(_of_schema(batches, schema), schema))
    if isinstance(batches, DeferredStream):
        table.before_commit = batches.take_wait()
    return table


def without_notes(table: "pa.Table") -> "pa.Table":
    """Return a table without our notes on pandas: they hold for its rows as they were stored."""
    metadata = {k: v for k, v in (table.schema.metadata or {}).items() if k != NOTES}
    return table.replace_schema_metadata(metadata or None)


def reader_of(
    batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema", resources: contextlib.ExitStack
) -> "pa.RecordBatchReader":
    """Return a reader of batches that frees what they are read from at its end, or with itself."""
    import pyarrow as pa

    shown = without_notes(schema.empty_table()).schema

    def freeing() -> Iterator[Any]:
        with resources:
            yield None  # only a generator that has begun is cleaned up when it is dropped
            for batch in batches:
                yield batch.replace_schema_metadata(shown.metadata)

    rows = freeing()
    next(rows)
    return pa.RecordBatchReader.from_batches(shown, rows)


def _of_schema(
    batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema"
) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    for batch in batches:
        if not isinstance(batch, pa.RecordBatch):
            raise UnstorableTableError(
                f"A stream gives pyarrow.RecordBatch objects, not {named_type(type(batch))}."
            )
        if not batch.schema.equals(schema):
            wrong = [
                named(field.name, str(position))
                for position, field in enumerate(batch.schema)
                if field not in list(schema)
            ]
            raise UnstorableTableError(
                f"A batch of the stream isn't of its schema; columns that differ: "
                f"{', '.join(wrong) or 'their number or order'}."
            )
        yield pa.record_batch(batch.columns, schema=schema)
