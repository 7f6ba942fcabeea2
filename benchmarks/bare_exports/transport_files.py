"""SAS transport files with pyreadstat alone: no notes, no comparison."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow as pa
import pyreadstat


def write_transport(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, path: Path, version: Literal[5, 8]
) -> None:
    """Write with pyreadstat, from a polars frame: the faster of the two kinds that it takes."""
    frame = pl.from_arrow(pa.Table.from_batches(batches, schema))
    assert isinstance(frame, pl.DataFrame)
    if version == 5:  # eight letters
        frame.columns = [f"C{number}" for number in range(frame.width)]
    pyreadstat.write_xport(frame, path, table_name="AE", file_format_version=version)


def read_transport(path: Path) -> Any:
    """Read with pyreadstat as it does by default but for the frame, which costs time."""
    return pyreadstat.read_xport(path, output_format="dict", disable_datetime_conversion=True)


WRITE: dict[str, Callable[[Iterator[pa.RecordBatch], pa.Schema, Path], None]] = {
    "xpt": functools.partial(write_transport, version=5),
    "xpt8": functools.partial(write_transport, version=8),
}
READ: dict[str, Callable[[Path], Any]] = {"xpt": read_transport, "xpt8": read_transport}
