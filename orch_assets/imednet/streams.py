"""Streams of rows and record batches: what a caller reads while a table arrives."""

from collections.abc import Callable, Generator, Iterator
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from orch_assets.imednet.progress import ReadingCounts
from orch_assets.refreshing import PartRefresh

if TYPE_CHECKING:
    import pyarrow as pa

    from orch_assets.imednet.blinding.study_dictionary import StudyDictionary

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
        refresh: How the stream was made from an earlier version; None for any other stream.
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
        self.refresh = refresh
