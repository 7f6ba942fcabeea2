"""Where finished rows wait for their table: in memory while they are few, else in a file."""

import contextlib
import functools
import mmap
import tempfile
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_ALIGNMENT = 64


class Shelf(contextlib.ExitStack):
    """Keeps record batches of any schemas, most of them outside of memory.

    What lies in the file is mapped when it is taken: read when it is looked at, and the system's
    to drop. The file has no name; it goes with the last batch that was taken from it.

    Args:
        memory_bytes: so much stays in memory.
    """

    def __init__(self, memory_bytes: int) -> None:
        super().__init__()
        self._free = memory_bytes
        self._file: IO[bytes] | None = None
        self._map: mmap.mmap | None = None

    def put(self, batch: "pa.RecordBatch") -> "Callable[[], pa.RecordBatch]":
        """Keep a batch and return what takes it back; to be called when all are here."""
        self._free -= batch.nbytes
        if self._free >= 0:
            return lambda: batch
        if self._file is None:
            self._file = self.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - it is
        start = self._file.tell()
        message = batch.serialize()
        self._file.write(message)
        self._file.write(bytes(-message.size % _ALIGNMENT))
        return functools.partial(self._take, start, message.size, batch.schema)

    def _take(self, start: int, size: int, schema: "pa.Schema") -> "pa.RecordBatch":
        import pyarrow as pa

        assert self._file is not None  # noqa: S101 - what is taken was put
        if self._map is None:
            self._file.flush()
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        message = pa.py_buffer(self._map).slice(start, size)
        return pa.ipc.read_record_batch(message, schema)
