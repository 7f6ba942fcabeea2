"""Where finished rows wait for their table: in memory while they are few, else in a file."""

import functools
import math
import os
import tempfile
import weakref
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


class SpillBuffer:
    """Keeps record batches of any schemas.

    The file has no name; it goes with the shelf and all that could take something from it.

    Args:
        memory_bytes: so much stays in memory; None keeps all there.
    """

    def __init__(self, memory_bytes: int | None) -> None:
        self._free = math.inf if memory_bytes is None else memory_bytes
        self._file: IO[bytes] | None = None

    @property
    def overflowed(self) -> bool:
        """Whether there was more than stays in memory."""
        return self._file is not None

    def put(self, batch: "pa.RecordBatch") -> "Callable[[], pa.RecordBatch]":
        """Keep a batch and return what takes it, as often as it is called."""
        self._free -= batch.nbytes
        if self._free >= 0:
            return lambda: batch
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - the next line closes it
            weakref.finalize(self, self._file.close)
        start, message = self._file.tell(), batch.serialize()
        self._file.write(message)
        self._file.flush()
        return functools.partial(self._take, self._file.fileno(), start, message.size, batch.schema)

    def _take(self, file: int, start: int, size: int, schema: "pa.Schema") -> "pa.RecordBatch":
        import pyarrow as pa

        return pa.ipc.read_record_batch(pa.py_buffer(os.pread(file, size, start)), schema)
