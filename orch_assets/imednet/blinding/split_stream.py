"""Splits a table into its open rows and its withheld ones while it is read."""

import contextlib
import queue
import threading
from collections.abc import Callable, Generator
from typing import Any, Final

from orch_assets.errors import ImednetError
from orch_assets.imednet.blinding.split import Split
from orch_assets.imednet.streams import BatchStream

# How many withheld batches wait for their reader.
_MAX_WAITING: Final = 16
# Both readers start together. If one is alone for this long, the other one will never start.
_ALONE_SECONDS: Final = 60.0
_CHECK_SECONDS: Final = 0.5

_COMPLETE: Final = object()
_BROKEN: Final = object()


class SplitStream:
    """Two streams from one source. Read them at the same time, each on its own thread.

    The open stream reads the source. The withheld stream ends with an error if the open one is not
    read to its end, so that half a table is never stored.

    Args:
        source: The stream to split.
        split: Splits its rows; see :func:`~orch_assets.imednet.blinding.split.splitter`.
        confirm: Called when the last row has arrived, before either stream ends. It raises if the
            rows were split by outdated rules, so that neither part is stored.

    Attributes:
        table: The open rows. Closing it stops both streams.
        withheld: The rows from which something is withheld.
        withheld_rows: How many of these there are so far.
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
        self._batches: queue.Queue[Any] = queue.Queue(_MAX_WAITING)
        self._began = threading.Event()
        self._withheld_began = threading.Event()
        self._withheld_ended = threading.Event()
        self.withheld_rows = 0
        self.table = BatchStream(_started(self._open_batches()), source.counts, shown.schema)
        self.withheld = BatchStream(
            _started(self._withheld_batches()), source.counts, hidden.schema
        )

    def _open_batches(self) -> "Generator[Any, None, None]":
        import pyarrow as pa

        try:
            yield None
            self._began.set()
            for batch in self._source:
                shown, hidden = self._split(pa.Table.from_batches([batch]))
                self.withheld_rows += hidden.num_rows
                for withheld in hidden.to_batches():
                    self._pass_on(withheld)
                yield from shown.to_batches()
            self._confirm()
            self._pass_on(_COMPLETE)
        except BaseException:  # also if the stream is closed before its end
            self._break_off()
            raise
        finally:
            self._source.close()
            self._began.set()

    def _pass_on(self, item: Any) -> None:
        """Pass an item to the withheld stream: a batch, or the marker for its end."""
        if not self._withheld_began.wait(_ALONE_SECONDS):
            raise ImednetError("Read both parts of a split stream at once, from two threads.")
        while not self._withheld_ended.is_set():
            try:
                self._batches.put(item, timeout=_CHECK_SECONDS)
            except queue.Full:
                continue
            return
        raise ImednetError("The withheld part is no longer read, so the open part was stopped too.")

    def _break_off(self) -> None:
        """Tell the withheld stream that it can't become whole, without waiting for its reader.

        The reader may begin later, may be slow, or may be garbage like this stream.
        """
        while True:
            try:
                self._batches.put_nowait(_BROKEN)
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self._batches.get_nowait()
            else:
                return

    def _withheld_batches(self) -> "Generator[Any, None, None]":
        try:
            yield None
            self._withheld_began.set()
            if not self._began.wait(_ALONE_SECONDS):
                raise ImednetError("Read both parts of a split stream at once, from two threads.")
            while (item := self._batches.get()) is not _COMPLETE:
                if item is _BROKEN:
                    raise ImednetError(
                        "The open part ended early, so the withheld one is incomplete."
                    )
                yield item
        finally:
            self._withheld_ended.set()
            self._withheld_began.set()


def _started(batches: "Generator[Any, None, None]") -> "Generator[Any, None, None]":
    """Advance a generator into its ``try``, so that closing it unread still runs ``finally``."""
    next(batches)
    return batches
