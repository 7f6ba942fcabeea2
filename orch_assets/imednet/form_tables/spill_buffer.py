"""Holds finished rows until their table is complete: in memory, or in a file beyond a limit."""

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
    """Stores record batches of any schema.

    The file has no name. It is closed when the buffer and every function that ``put`` returned
    are gone.

    Args:
        memory_bytes: How much stays in memory; None for everything.
    """

    def __init__(self, memory_bytes: int | None) -> None:
        self._free = math.inf if memory_bytes is None else memory_bytes
        self._file: IO[bytes] | None = None

    @property
    def overflowed(self) -> bool:
        """Whether some batches are in the file."""
        return self._file is not None

    def put(self, batch: "pa.RecordBatch") -> "Callable[[], pa.RecordBatch]":
        """Store a batch. Return a function that returns it, and that can be called repeatedly."""
        self._free -= batch.nbytes
        if self._free >= 0:
            return lambda: batch
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - the next line closes it
            weakref.finalize(self, self._file.close)
        start, message = self._file.tell(), batch.serialize()
        self._file.write(message)
        self._file.flush()
        return functools.partial(self._read, self._file.fileno(), start, message.size, batch.schema)

    def _read(self, file: int, start: int, size: int, schema: "pa.Schema") -> "pa.RecordBatch":
        import pyarrow as pa

        return pa.ipc.read_record_batch(pa.py_buffer(os.pread(file, size, start)), schema)
