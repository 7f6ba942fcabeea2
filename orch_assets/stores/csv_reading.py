"""CSV as text, block by block, however long its rows are."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from orch_assets.errors import ArtifactCorruptError
from orch_assets.marked_names import named

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# pyarrow refuses a row that is longer than a block; the last size is its own limit.
_BLOCK_BYTES = (1 << 24, 1 << 28, (1 << 31) - 1)


def read_texts(file: BinaryIO, names: Sequence[str]) -> "Iterator[pa.RecordBatch]":
    """Yield a file's rows, every field as text; an empty one without quotes is null.

    Args:
        file: as RFC 4180 has it, UTF-8, with a header.
        names: what the header must be.

    Raises:
        ValueError: the file isn't that, or has another header.
    """
    import pyarrow as pa

    size = file.seek(0, io.SEEK_END)
    given = 0
    for block in _BLOCK_BYTES:
        file.seek(0)
        try:
            for batch in _rows_after(given, _reader(file, block, names)):
                given += batch.num_rows
                yield batch
        except pa.ArrowInvalid:
            if block >= size:
                raise
        else:
            return
    raise ValueError("a row is too long")


def _reader(file: BinaryIO, block: int, names: Sequence[str]) -> Any:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    read = arrow_csv.ReadOptions(block_size=block)
    parse = arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
    convert = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    reader = arrow_csv.open_csv(file, read, parse, convert)
    if reader.schema.names != list(names):
        raise ValueError("another header")
    return reader


def _rows_after(given: int, reader: Any) -> "Iterator[pa.RecordBatch]":
    """Yield what follows the rows that were yielded with smaller blocks."""
    skipped = 0
    for batch in reader:
        skip = min(given - skipped, batch.num_rows)
        skipped += skip
        if skip < batch.num_rows:
            yield batch.slice(skip)


def plain_csv(file: BinaryIO, name: str, *, infer_types: bool) -> "pd.DataFrame":
    """Return a CSV file as a frame of text, or as pandas guesses it.

    Raises:
        ArtifactCorruptError: it is no CSV in UTF-8 with a header.
    """
    import pandas as pd
    import pyarrow as pa

    from orch_assets.stores.frames import arrow_to_frame

    try:
        if infer_types:
            return pd.read_csv(file)
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        names = next(csv.reader(text), [])
        text.detach()
        schema = pa.schema([(each, pa.string()) for each in names])
        return arrow_to_frame(pa.Table.from_batches(read_texts(file, names), schema))
    except (pa.ArrowException, ValueError):
        raise ArtifactCorruptError(
            f"{named(name)} is no CSV in UTF-8 with one header and rows alike.", artifact=name
        ) from None
