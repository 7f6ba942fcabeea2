"""One reading of a table, split while it arrives: its open rows and its withheld ones."""

import queue
import threading
from collections.abc import Callable, Generator
from typing import Any, Final

from orch_assets.errors import ImednetError
from orch_assets.imednet.blinding.split import Split
from orch_assets.imednet.streams import BatchStream

# Withheld batches that may wait for their reader.
_WAITING: Final = 16
# The two readers begin together; one that is alone for so long would wait for ever.
_ALONE_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.5

_COMPLETE: Final = object()
_BROKEN: Final = object()


class SplitStream:
    """Two streams of one reading; they are read at the same time, each on a thread of its own.

    The open one does the reading. The withheld one ends with an error where the open one was not
    read to its end, so that nothing is made of half a table.

    Args:
        source: the reading.
        split: splits its rows; see :func:`~orch_assets.imednet.blinding.split.splitter`.
        confirm: called when the last row has arrived, before either part ends; raises where the
            split was wrong, so that nothing is made of it.

    Attributes:
        table: the open rows; closing it stops both.
        withheld: the rows that something is withheld of.
    """

    def __init__(
        self,
        source: BatchStream,
        split: Split,
        confirm: Callable[[], object] = lambda: None,
    ) -> None:
        shown, hidden = split(source.schema.empty_table())
        self._source = source
        self._split = split
        self._confirm = confirm
        self._batches: queue.Queue[Any] = queue.Queue(_WAITING)
        self._began = threading.Event()
        self._withheld_began = threading.Event()
        self._withheld_ended = threading.Event()
        self.table = BatchStream(_entered(self._open_batches()), source.counts, shown.schema)
        self.withheld = BatchStream(
            _entered(self._withheld_batches()), source.counts, hidden.schema
        )

    def _open_batches(self) -> "Generator[Any, None, None]":
        import pyarrow as pa

        end = _BROKEN
        try:
            yield None
            self._began.set()
            for batch in self._source:
                shown, hidden = self._split(pa.Table.from_batches([batch]))
                for each in hidden.to_batches():
                    self._hand(each)
                yield from shown.to_batches()
            self._confirm()
            end = _COMPLETE
        finally:
            self._source.close()
            self._began.set()
            self._hand(end)

    def _hand(self, item: Any) -> None:
        """Give the other side a batch, or the word that it was the last."""
        # Bad news waits for nobody: whoever begins to read later finds it.
        if item is not _BROKEN and not self._withheld_began.wait(_ALONE_SECONDS):
            raise ImednetError("Read both parts of a split stream at once, from two threads.")
        while not self._withheld_ended.is_set():
            try:
                self._batches.put(item, timeout=_LOOK_SECONDS)
            except queue.Full:
                continue
            return
        if item is not _BROKEN:
            raise ImednetError("The withheld part is not read any more, so the open one ends too.")

    def _withheld_batches(self) -> "Generator[Any, None, None]":
        try:
            yield None
            self._withheld_began.set()
            if not self._began.wait(_ALONE_SECONDS):
                raise ImednetError("Read both parts of a split stream at once, from two threads.")
            while (item := self._batches.get()) is not _COMPLETE:
                if item is _BROKEN:
                    raise ImednetError("The open part ended early, so the withheld one has no end.")
                yield item
        finally:
            self._withheld_ended.set()
            self._withheld_began.set()


def _entered(batches: "Generator[Any, None, None]") -> "Generator[Any, None, None]":
    """Return the generator inside its ``try``: closed unread, it tells the other side too."""
    next(batches)
    return batches
