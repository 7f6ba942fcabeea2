"""Streams of rows and record batches: what a caller reads while a table arrives."""

import contextlib
from collections.abc import Callable, Generator, Iterator
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from orch_assets.imednet.progress import ReadingCounts
from orch_assets.refreshing import PartRefresh

if TYPE_CHECKING:
    import pyarrow as pa

    from orch_assets.imednet.blinding.study_dictionary import StudyDictionary
    from orch_assets.imednet.refresh.part_division import PartDivision
    from orch_assets.imednet.refresh.refresh_plan import RefreshPlan

T = TypeVar("T")


class RowStream(Iterator[T]):
    """A table's rows as they arrive. Closing or dropping the stream stops the reading.

    Attributes:
        counts: The counts of the reading; complete when the stream is exhausted.
    """

    def __init__(self, items: Generator[T, None, None], counts: ReadingCounts) -> None:
        self._items = items
        self._peeked: list[T] = []
        self.counts = counts

    def __next__(self) -> T:
        return self._peeked.pop() if self._peeked else next(self._items)

    def peek(self) -> T | None:
        """Return the next item without consuming it; None at the end."""
        if not self._peeked:
            self._peeked = list(islice(self._items, 1))
        return self._peeked[0] if self._peeked else None

    def close(self) -> None:
        """Stop reading; closing twice has no effect."""
        self._items.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class BatchStream(RowStream["pa.RecordBatch"]):
    """A table's record batches, each of several pages; at least one.

    Attributes:
        schema: The schema of every batch, known before the first arrives.
        dictionary: Reads the dictionary of the rows' study; takes the tables ``variables`` and
            ``intervals`` that must agree with it. None if the study isn't known.
    """

    def __init__(
        self,
        items: Generator["pa.RecordBatch", None, None],
        counts: ReadingCounts,
        schema: "pa.Schema",
        dictionary: "Callable[..., StudyDictionary] | None" = None,
        refresh: PartRefresh | None = None,
    ) -> None:
        super().__init__(items, counts)
        self.schema = schema
        self.dictionary = dictionary
        self._refresh = refresh

    @property
    def refresh(self) -> PartRefresh | None:
        """How the stream is made from an earlier version; None for any other stream."""
        return self._refresh


class RefreshStream(BatchStream):
    """A table, or a part of it, that starts from an earlier version; see ``TableEndpoint.refresh``.

    Nothing is read before the first row, or ``refresh``, is asked for.

    Args:
        plan: How the table is refreshed.
        part: The number of this part.
        dictionary: See ``BatchStream``.
    """

    def __init__(
        self,
        plan: "RefreshPlan",
        part: int = 0,
        dictionary: "Callable[..., StudyDictionary] | None" = None,
    ) -> None:
        super().__init__(self._planned(), plan.counts, plan.schemas[part], dictionary)
        self._plan = plan
        self._part = part

    @property
    def refresh(self) -> PartRefresh:
        """How this part is made from its earlier version; the first use sends requests."""
        return self._plan.part(self._part).refresh

    def divided(self, division: "PartDivision") -> "tuple[RefreshStream, RefreshStream]":
        """Return the open and the withheld part, to be read instead of this stream."""
        plan = self._plan.divided(division)
        return RefreshStream(plan, 0), RefreshStream(plan, 1)

    def close(self) -> None:
        """Stop reading, and the other part with it."""
        super().close()
        self._plan.close(self._part)

    def _planned(self) -> "Generator[pa.RecordBatch, None, None]":
        yield from self._plan.part(self._part).rows


def in_large_batches(
    pages: "Iterator[pa.RecordBatch]", size: int
) -> "Generator[pa.RecordBatch, None, None]":
    """Yield the rows of the pages in batches of ``size``: each batch costs time downstream."""
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    for page in pages:
        held.append(page)
        while sum(each.num_rows for each in held) >= size:
            rows = pa.Table.from_batches(held)
            batch = one_batch(rows[:size])
            held = rows[size:].to_batches()
            del rows  # free the pages while the consumer uses the batch
            yield batch
            del batch
    if held:
        yield one_batch(pa.Table.from_batches(held))


def with_callback(
    batches: "Generator[pa.RecordBatch, None, None]",
    schema: "pa.Schema",
    on_read: "Callable[[pa.Table], object]",
) -> "Generator[pa.RecordBatch, None, None]":
    """Yield the batches, and call ``on_read`` with all of them as a table at the end."""
    import pyarrow as pa

    held = []
    with contextlib.closing(batches):
        for batch in batches:
            held.append(batch)
            yield batch
    on_read(pa.Table.from_batches(held, schema))


def one_batch(rows: "pa.Table") -> "pa.RecordBatch":
    """Return all rows of a table as one batch; a table without rows gives an empty one."""
    import pyarrow as pa

    columns = (column.combine_chunks() for column in rows.columns)
    return pa.record_batch(list(columns), schema=rows.schema)
