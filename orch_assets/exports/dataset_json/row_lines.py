"""Rows as JSON lists, a line each: written by msgspec, read by Python's own decoder."""

import json
from collections.abc import Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn

import msgspec

from orch_assets.exports.cell_texts import decimal_texts, iso_texts, moments_of

if TYPE_CHECKING:
    import pyarrow as pa

# The greatest whole number of which every smaller one is a float, too.
EXACT_INTEGER: Final = 2**53
_READ_BYTES: Final = 2**22

# What the decoder makes of each data type; of all others it makes text.
_PYTHON_TYPES: Final[Mapping[str, type]] = {
    "boolean": bool,
    "integer": int,
    "float": float,
    "double": float,
}


def encoded_rows(batch: "pa.RecordBatch", data_types: "list[str]") -> bytes:
    """Return a batch's rows as JSON lists, each with a line feed behind it."""
    columns = [
        _python_cells(_written(cells, data_type))
        for cells, data_type in zip(batch.columns, data_types, strict=True)
    ]
    return msgspec.json.Encoder().encode_lines(list(zip(*columns, strict=True)))


def has_long_integers(cells: "pa.Array") -> bool:
    """Return whether a number of a column of whole numbers exceeds 2^53."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_integer(cells.type) or cells.type.bit_width < 64:  # noqa: PLR2004 - bits
        return False
    least, greatest = pc.min_max(cells).as_py().values()
    return greatest is not None and max(greatest, -least) > EXACT_INTEGER


def decoded_rows(file: IO[bytes], commas: bool) -> "Iterator[list[list[Any]]]":
    """Yield the rows of the lines that are left in a file, some megabytes at a time.

    Args:
        file: The file.
        commas: Whether commas separate the lines, and the last line ends the document.

    Raises:
        ValueError: A line isn't a JSON list, or a comma is missing or superfluous.
    """
    lines = file.readlines(_READ_BYTES)
    while lines:
        following = file.readlines(_READ_BYTES)
        if not commas:
            text = b",".join(lines)
        elif following:
            text = b"".join(lines).removesuffix(b",\n")
        else:
            text = _without_end(b"".join(lines))
        yield json.loads(b"[%b]" % text, parse_constant=_refuse)
        lines = following


def read_column(cells: "tuple[Any, ...]", type_: "pa.DataType", data_type: str) -> "pa.Array":
    """Return a column of decoded cells in its plain type.

    Raises:
        ValueError: A cell has another JSON type than the column's data type, or isn't of the type.
    """
    import pyarrow as pa

    if not {*map(type, cells)} <= {_PYTHON_TYPES.get(data_type, str), type(None)}:
        raise ValueError("another JSON type")
    if data_type == "float":
        return pa.array(cells, pa.float64()).cast(pa.float32())
    if data_type in _PYTHON_TYPES:
        return pa.array(cells, type_)
    texts = pa.array(cells, pa.string())
    return moments_of(texts, type_) if pa.types.is_temporal(type_) else texts.cast(type_)


def _written(cells: "pa.Array", data_type: str) -> "pa.Array":
    """Return a column's cells as JSON has them."""
    import pyarrow as pa

    if pa.types.is_temporal(cells.type):
        return iso_texts(cells)
    if data_type == "decimal":
        is_decimal = pa.types.is_decimal(cells.type)
        return decimal_texts(cells) if is_decimal else cells.cast(pa.string())
    return cells.cast(pa.float64()) if data_type == "float" else cells


def _python_cells(cells: "pa.Array") -> "list[Any]":
    """Return a column's cells as Python objects; through NumPy, which is faster than Arrow."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not (pa.types.is_integer(cells.type) or pa.types.is_floating(cells.type)):
        objects: list[Any] = cells.to_numpy(zero_copy_only=False).tolist()
        return objects
    if cells.null_count == len(cells):
        return [None] * len(cells)
    numbers: list[Any] = cells.fill_null(0).to_numpy(zero_copy_only=False).tolist()
    for row in pc.indices_nonzero(cells.is_null()).to_pylist() if cells.null_count else ():
        numbers[row] = None
    return numbers


def _without_end(text: bytes) -> bytes:
    if not text.endswith(b"\n]}\n") and text != b"]}\n":
        raise ValueError("no end of the document")
    return text[: -len(b"]}\n")]


def _refuse(_constant: str) -> NoReturn:
    raise ValueError("not a number of JSON")
